/**
 * Fails each system call of an audit append in turn, and kills the process in the middle of it; then looks at the file.
 *
 * What was acknowledged must be there, what was rejected must not, and after the next start the evidence must verify.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openAuditLog } from "../../src/audit/open-audit-log.ts";
import { listSegments } from "../../src/audit/read-lines.ts";
import { verifyAudit } from "../../src/audit/verify-audit.ts";

const APPENDER = fileURLToPath(new URL("audit-appender.ts", import.meta.url));
const STRACE = spawnSync("strace", ["-V"]).status === 0;
const SKIP = STRACE ? false : "strace is not installed: THE FAULTS OF THE AUDIT DISK WERE NOT TRIED";

interface Told {
  readonly acknowledged: Set<string>;
  readonly rejected: Set<string>;
}

/** Runs the appender; one thread does all its file calls, so that `when=` counts them. */
async function run(
  folder: string,
  { prefix, calls, inject = [], killAfter }: { prefix: string; calls: number; inject?: string[]; killAfter?: number },
): Promise<Told> {
  const node = [process.execPath, APPENDER, folder, prefix, String(calls)];
  const rules = inject.flatMap((rule) => ["-e", `inject=${rule}`]);
  const traced = [
    "strace",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=fdatasync,fsync,ftruncate,pwrite64",
    ...rules,
    ...node,
  ];
  const [command = "", ...args] = inject.length > 0 ? traced : node;
  const env = { ...process.env, UV_THREADPOOL_SIZE: "1" };
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"], env });
  const told: Told = { acknowledged: new Set(), rejected: new Set() };
  for await (const line of createInterface(child.stdout)) {
    const [kind, id, type] = line.split(" ");
    (kind === "ack" ? told.acknowledged : told.rejected).add(`${id} ${type}`);
    if (told.acknowledged.size === killAfter) child.kill("SIGKILL");
  }
  return told;
}

/** Starts once more, as after a crash, and gives what the file then holds. */
async function reopen(folder: string): Promise<{ written: Set<string>; interrupted: Set<string> }> {
  const keys = { digestKey: Buffer.alloc(32, 1), signingSeed: Buffer.alloc(32, 2) };
  await (await openAuditLog({ folder, now: () => new Date(), ...keys })).close();
  assert.deepEqual((await verifyAudit({ folder })).findings, []);
  const written = new Set<string>();
  const interrupted = new Set<string>();
  for (const { path } of await listSegments(join(folder, "node-1"))) {
    for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) {
      const { request_id, type, code } = JSON.parse(line);
      if (code === "interrupted") interrupted.add(request_id);
      else if (request_id !== null) written.add(`${request_id} ${type}`);
    }
  }
  return { written, interrupted };
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "doorward-faults-"));
  try {
    await body(join(folder, "audit"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("an audit append, with the disk failing", { skip: SKIP }, () => {
  for (const inject of [
    ["fdatasync:error=EIO:when=3"],
    ["fdatasync:error=EIO:when=3+2"],
    ["fdatasync:error=EIO:when=6+"],
    ["pwrite64:error=EIO:when=4"],
    ["pwrite64:error=ENOSPC:when=3"],
    ["pwrite64:error=ENOSPC:when=5+"],
    ["fdatasync:error=EIO:when=4", "fsync:error=EIO:when=6"],
    ["fdatasync:signal=KILL:when=5"],
    ["pwrite64:signal=KILL:when=6"],
  ]) {
    test(inject.join(" "), async () => {
      await inFolder(async (folder) => {
        const { acknowledged, rejected } = await run(folder, { prefix: "call", calls: 60, inject });
        const { written } = await reopen(folder);
        if (inject.some((rule) => rule.endsWith("+"))) assert.ok(rejected.size > 0, "the fault was not injected");
        assert.deepEqual(
          [...acknowledged].filter((key) => !written.has(key)),
          [],
        );
        assert.deepEqual(
          [...rejected].filter((key) => written.has(key)),
          [],
        );
      });
    });
  }

  test("what was rejected and could not even be cut is marked as interrupted by the next start", async () => {
    await inFolder(async (folder) => {
      const inject = ["fdatasync:error=EIO:when=4+", "ftruncate:error=EIO:when=1+"];
      const { acknowledged, rejected } = await run(folder, { prefix: "call", calls: 60, inject });
      const { written, interrupted } = await reopen(folder);
      assert.ok(rejected.size > 0);
      assert.deepEqual(
        [...acknowledged].filter((key) => !written.has(key)),
        [],
      );
      const stayed = [...rejected].filter((key) => written.has(key) && key.endsWith("call.decided"));
      for (const key of stayed) assert.ok(interrupted.has(key.split(" ")[0] ?? ""), key);
    });
  });
});

test("kill -9 in mid-append, ten times over: nothing acknowledged is missing, and it verifies after each start", async () => {
  await inFolder(async (folder) => {
    const acknowledged = new Set<string>();
    for (let round = 0; round < 10; round += 1) {
      const told = await run(folder, { prefix: `r${round}`, calls: 10_000, killAfter: 20 + 37 * round });
      for (const key of told.acknowledged) acknowledged.add(key);
      const { written } = await reopen(folder);
      assert.deepEqual(
        [...acknowledged].filter((key) => !written.has(key)),
        [],
      );
    }
  });
});
