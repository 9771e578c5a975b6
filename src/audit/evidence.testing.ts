import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEvent } from "./event.ts";
import type { FileAuditLog } from "./file-audit-log.ts";
import { type AuditLogOptions, openAuditLog } from "./open-audit-log.ts";
import { segmentName } from "./read-lines.ts";

/** A temporary home with an `audit/` folder in it, gone when disposed. */
export interface TestHome extends Disposable {
  readonly home: string;
  readonly audit: string;
  readonly node: string;
}

export function makeHome(): TestHome {
  const home = mkdtempSync(join(tmpdir(), "doorward-audit-"));
  const audit = join(home, "audit");
  return {
    home,
    audit,
    node: join(audit, "node-1"),
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  };
}

/** Opens a log with fixed keys and a clock that moves 10 ms at each look. */
export function openTestLog(home: TestHome, options: Partial<AuditLogOptions> = {}): Promise<FileAuditLog> {
  let ms = Date.UTC(2026, 10, 21, 12);
  const now = () => {
    ms += 10;
    return new Date(ms);
  };
  const keys = { digestKey: Buffer.alloc(32, 1), signingSeed: Buffer.alloc(32, 2) };
  return openAuditLog({ folder: home.audit, now, ...keys, ...options });
}

export function decided(id: string): AuditEvent {
  return {
    type: "call.decided",
    request_id: id,
    agent: "dns-bot",
    tenant: "acme",
    service: "registrar",
    operation: "domains:read",
    decision: "permit",
    rules: ["role:dns-reader"],
    data: { scope: "registrar:domains:read", method: "GET", path: "/domains" },
  };
}

export function completed(id: string): AuditEvent {
  return { type: "call.completed", request_id: id, agent: "dns-bot", service: "registrar", data: { status: 200 } };
}

/** The lines of a segment, without line feeds. */
export function readSegment(home: TestHome, index = 1): string[] {
  return readFileSync(join(home.node, segmentName(index)), "utf8")
    .split("\n")
    .slice(0, -1);
}

export function writeSegment(home: TestHome, lines: readonly string[], index = 1): void {
  writeFileSync(join(home.node, segmentName(index)), lines.map((line) => `${line}\n`).join(""));
}

/** A line with something else in it (by default another time) and the hash that belongs to it. */
export function resealed(line: string, from = '"at":"2026', to = '"at":"2025'): string {
  const body = line.slice(0, line.lastIndexOf(',"hash":')).replace(from, to);
  return `${body},"hash":"${createHash("sha256").update(body).digest("hex")}"}`;
}

let runs = 0;

/**
 * Runs the independent verifier in this process: the module is evaluated anew for each run, as a process would.
 *
 * @returns Its exit status and what it printed.
 */
export async function verifyIndependently(...args: string[]): Promise<{ status: number; output: string }> {
  const { argv, exitCode } = process;
  const { log } = console;
  const output: string[] = [];
  try {
    process.argv = [argv[0] ?? "node", "verify.mjs", ...args];
    console.log = (line: string) => output.push(line);
    runs += 1;
    await import(`../../docs/verify/verify.mjs?run=${runs}`);
    return { status: Number(process.exitCode ?? 0), output: output.join("\n") };
  } finally {
    process.argv = argv;
    process.exitCode = exitCode;
    console.log = log;
  }
}
