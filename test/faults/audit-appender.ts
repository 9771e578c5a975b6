/**
 * Appends to a log as fast as it may, and prints what became of each append: what `audit-append.test.ts` breaks.
 *
 *   node audit-appender.ts AUDIT_FOLDER PREFIX CALLS [CHARS]
 *
 * CHARS: how long each line is made.
 */
import { writeSync } from "node:fs";
import { openAuditLog } from "../../src/audit/open-audit-log.ts";

const [folder = "", prefix = "", calls = "0", chars = "0"] = process.argv.slice(2);
const data = { long: "x".repeat(Number(chars)) };
const WORKERS = 8;

const log = await openAuditLog({
  folder,
  now: () => new Date(),
  digestKey: Buffer.alloc(32, 1),
  signingSeed: Buffer.alloc(32, 2),
});

async function append(id: string, type: "call.decided" | "call.completed"): Promise<boolean> {
  const event = { type, request_id: id, agent: "dns-bot", service: "registrar", data };
  const appended = await log
    .append(type === "call.decided" ? { ...event, decision: "permit" } : event)
    .then(() => true)
    .catch((error: { code?: string }) => {
      if (error.code !== "audit_unavailable") throw error;
      return false;
    });
  writeSync(1, `${appended ? "ack" : "rej"} ${id} ${type}\n`);
  return appended;
}

let next = 0;
await Promise.all(
  Array.from({ length: WORKERS }, async () => {
    while (next < Number(calls)) {
      const id = `${prefix}-${next}`;
      next += 1;
      if (await append(id, "call.decided")) await append(id, "call.completed");
    }
  }),
);
await log.close();
