/**
 * Fails each system call of an audit append in turn, and kills the process in the middle of it; then looks at the file.
 *
 * What was acknowledged must be there, what was rejected must not, and after the next start the evidence must verify.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync, statSync, truncateSync } from "node:fs";
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

const JOURNAL = "journal";
const SEGMENT = "000001.jsonl";

/** What to fail; `when=` counts the calls on these files alone, and each thread for itself: writes apart from the rest. */
interface Faults {
  readonly of: readonly string[];
  readonly inject: readonly string[];
}

interface Run {
  readonly prefix: string;
  readonly calls: number;
  readonly chars?: number;
  readonly faults?: Faults;
  readonly killAfter?: number;
}

/** Runs the appender; one thread does all that it waits for, so that `when=` counts it. */
async function run(folder: string, { prefix, calls, chars = 0, faults, killAfter }: Run): Promise<Told> {
  const node = [process.execPath, APPENDER, folder, prefix, String(calls), String(chars)];
  const [command = "", ...args] = faults === undefined ? node : [...traced(folder, faults), ...node];
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

const traceOf = (folder: string): string => `${folder}.trace`;

function traced(folder: string, { of, inject }: Faults): string[] {
  const files = of.flatMap((name) => ["-P", join(folder, "node-1", name)]);
  const rules = inject.flatMap((rule) => ["-e", `inject=${rule}`]);
  return [
    "strace",
    "-f",
    "-qq",
    "-o",
    traceOf(folder),
    ...files,
    "-e",
    "trace=fdatasync,fsync,ftruncate,pwrite64",
    ...rules,
  ];
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
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "doorward-faults-")));
  try {
    await body(join(folder, "audit"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function missingIn(written: ReadonlySet<string>, keys: ReadonlySet<string>): string[] {
  return [...keys].filter((key) => !written.has(key));
}

/** Each is survived, or ends the process. `refuses`: it lasts, so that appends must have been rejected. */
const FAULTS: readonly (Faults & { readonly refuses?: true; readonly chars?: number })[] = [
  { of: [JOURNAL], inject: ["fdatasync:error=EIO:when=3"] },
  { of: [JOURNAL], inject: ["fdatasync:error=EIO:when=5+2"], refuses: true },
  { of: [JOURNAL], inject: ["fdatasync:error=EIO:when=6+"], refuses: true },
  { of: [JOURNAL], inject: ["pwrite64:error=EIO:when=5"] },
  { of: [JOURNAL], inject: ["pwrite64:error=ENOSPC:when=5+"], refuses: true },
  { of: [SEGMENT], inject: ["pwrite64:error=EIO:when=5"] },
  { of: [SEGMENT], inject: ["pwrite64:error=ENOSPC:when=5"] },
  { of: [SEGMENT], inject: ["pwrite64:error=ENOSPC:when=5+"], refuses: true },
  // The way back fails too: at the segment, which is made durable again, then at the journal, which is erased.
  { of: [JOURNAL, SEGMENT], inject: ["fdatasync:error=EIO:when=4", "fsync:error=EIO:when=2"] },
  { of: [JOURNAL], inject: ["fdatasync:error=EIO:when=4..5"] },
  // The journal is full, and the segment is waited for.
  { of: [SEGMENT], inject: ["fdatasync:error=EIO:when=1"], chars: 60_000 },
  { of: [SEGMENT], inject: ["fdatasync:error=EIO:when=3+"], refuses: true, chars: 100_000 },
  { of: [SEGMENT], inject: ["fdatasync:signal=KILL:when=1"], chars: 60_000 },
  { of: [JOURNAL], inject: ["fdatasync:signal=KILL:when=5"] },
  { of: [JOURNAL], inject: ["pwrite64:signal=KILL:when=6"] },
  { of: [SEGMENT], inject: ["pwrite64:signal=KILL:when=6"] },
];

describe("an audit append, with the disk failing", { skip: SKIP }, () => {
  for (const { refuses = false, chars = 0, ...faults } of FAULTS) {
    test(`${faults.of.join(" and ")}: ${faults.inject.join(" ")}`, async () => {
      await inFolder(async (folder) => {
        const { acknowledged, rejected } = await run(folder, { prefix: "call", calls: 60, chars, faults });
        assert.match(readFileSync(traceOf(folder), "utf8"), /INJECTED|killed by SIGKILL/);
        assert.ok(acknowledged.size > 0, "it did not start");
        assert.ok(rejected.size > 0 || !refuses, "the fault was not noticed");
        const { written } = await reopen(folder);
        assert.deepEqual(missingIn(written, acknowledged), []);
        assert.deepEqual(
          [...rejected].filter((key) => written.has(key)),
          [],
        );
      });
    });
  }

  test("what was rejected and could not even be cut is marked as interrupted by the next start", async () => {
    await inFolder(async (folder) => {
      const faults = { of: [JOURNAL, SEGMENT], inject: ["fdatasync:error=EIO:when=3+", "ftruncate:error=EIO:when=2+"] };
      const { acknowledged, rejected } = await run(folder, { prefix: "call", calls: 60, faults });
      const { written, interrupted } = await reopen(folder);
      assert.deepEqual(missingIn(written, acknowledged), []);
      const stayed = [...rejected].filter((key) => written.has(key) && key.endsWith("call.decided"));
      assert.ok(stayed.length > 0, "the fault was not injected");
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
      assert.deepEqual(missingIn(written, acknowledged), []);
    }
  });
});

test("the power fails and takes all of the segment that was never waited for: nothing acknowledged is missing", async () => {
  await inFolder(async (folder) => {
    const segment = join(folder, "node-1", SEGMENT);
    const acknowledged = new Set<string>();
    let settled = 0;
    for (let round = 0; round < 4; round += 1) {
      const told = await run(folder, { prefix: `r${round}`, calls: 10_000, killAfter: 50 + 90 * round });
      for (const key of told.acknowledged) acknowledged.add(key);
      assert.ok(statSync(segment).size > settled + told.acknowledged.size * 100);
      truncateSync(segment, settled);
      const { written } = await reopen(folder);
      assert.deepEqual(missingIn(written, acknowledged), []);
      // It was closed: all of it is durable.
      settled = statSync(segment).size;
    }
  });
});
