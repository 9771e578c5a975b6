/**
 * Measures the evidence alone: records a second that are durable and chained, with many calls in flight and with one.
 * Run it with `node bench/audit.ts [SECONDS]`; prints one JSON object.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAuditLog } from "../src/audit/open-audit-log.ts";
import { median } from "./statistics.ts";

const IN_FLIGHT = 1_000;

export interface AuditFigures {
  readonly rowsPerSecond: number;
  readonly aloneUs: number;
}

const seconds = Number(process.argv[2] ?? 3);
const folder = mkdtempSync(join(tmpdir(), "doorward-bench-audit-"));
const audit = await openAuditLog({
  folder,
  digestKey: randomBytes(32),
  signingSeed: randomBytes(32),
  now: () => new Date(),
  started: { version: "bench", assurance: 0 },
});
const append = () =>
  audit.append({
    type: "call.completed",
    request_id: "req_0123456789abcdef",
    agent: "bench",
    service: "registrar",
    operation: "domains:read",
    decision: "permit",
    rules: ["role:dns-reader"],
    data: { status: 200, bytes: 1_024, redacted: 0, truncated: false, sent: true, duration_ms: 1.25 },
  });

async function loop(endAt: number): Promise<number> {
  let rows = 0;
  for (; performance.now() < endAt; rows++) await append();
  return rows;
}

try {
  await loop(performance.now() + 300);
  const begin = performance.now();
  const rows = await Promise.all(Array.from({ length: IN_FLIGHT }, () => loop(begin + seconds * 1_000)));
  const rowsPerSecond = (rows.reduce((sum, one) => sum + one, 0) * 1_000) / (performance.now() - begin);
  const aloneUs: number[] = [];
  for (let run = 0; run < 500; run++) {
    const sentAt = performance.now();
    await append();
    aloneUs.push((performance.now() - sentAt) * 1_000);
  }
  process.stdout.write(JSON.stringify({ rowsPerSecond, aloneUs: median(aloneUs) } satisfies AuditFigures));
} finally {
  await audit.close();
  rmSync(folder, { recursive: true, force: true });
}
