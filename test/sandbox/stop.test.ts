/** Ending children that do not want to end. Processes are counted by a mark on their command line. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { cannotRun, runInside, sandbox, specOf } from "./live-sandbox.ts";

const live = { skip: cannotRun };

/** Processes of the host that carry the mark. */
function marked(mark: string): readonly string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(mark);
    } catch {
      return false;
    }
  });
}

async function until(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 500; i++) {
    if (holds()) return true;
    await delay(10);
  }
  return false;
}

const HOSTILE = {
  "ignores being asked": "trap '' TERM INT HUP; while :; do sleep 1; done",
  "forks twice and leaves its session":
    "(setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' &) ; trap '' TERM; while :; do sleep 1; done",
  "forks without end": "f() { f | f & }; f; while :; do sleep 1; done",
  "closes its streams": "exec <&- >&- 2>&-; while :; do sleep 1; done",
  "stops itself": "kill -STOP $$; sleep 100",
};

for (const [what, script] of Object.entries(HOSTILE)) {
  test(`a child that ${what} is ended with all that it started`, live, async () => {
    const mark = randomBytes(8).toString("hex");
    const child = await sandbox.start(specOf(["/bin/sh", "-c", `: ${mark}; ${script}`]));
    assert.ok(await until(() => marked(mark).length > 0));
    await child.stop(60);
    assert.deepEqual(marked(mark), []);
  });
}

test("a child that ends when its input does is not asked, one that ends when asked is not killed", live, async () => {
  const reader = await sandbox.start(specOf(["/bin/sh", "-c", "trap 'exit 9' TERM; cat; exit 4"]));
  await reader.stop(10_000);
  assert.equal((await reader.exited).code, 4);
  const script = "process.on('SIGTERM', () => process.exit(5)); console.log('up'); setInterval(() => {}, 1000)";
  const asked = await sandbox.start(specOf(["node", "-e", script]));
  await once(asked.stdout, "data");
  await asked.stop(400);
  assert.equal((await asked.exited).code, 5);
});

test("stopping twice, and one that has ended, is nothing", live, async () => {
  const child = await sandbox.start(specOf(["true"]));
  await child.exited;
  await Promise.all([child.stop(0), child.stop(10)]);
});

test("the end of the daemon, however sudden, is the end of its children", live, async () => {
  const mark = randomBytes(8).toString("hex");
  const program = `
    const { createSandbox } = await import(${JSON.stringify(new URL("../../src/sandbox/create-sandbox.ts", import.meta.url).href)});
    const config = { mode: "strict", network: [], read: [], write: [], memoryBytes: 2 ** 28, cpu: 1, processes: 16 };
    await createSandbox({ home: "/nowhere", path: "/usr/bin" }).start({ service: "s", command: "/bin/sh", args: ["-c", ": ${mark}; trap '' TERM; while :; do sleep 1; done"], cwd: undefined, env: new Map(), config, programFiles: [], files: [], proxySocket: undefined });
    console.log("up");`;
  const daemon = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(daemon.stdout, "data");
  assert.ok(marked(mark).length > 1);
  daemon.kill("SIGKILL");
  await once(daemon, "close");
  assert.ok(await until(() => marked(mark).length === 0));
});

test("a child that needs more memory than it may have dies, and the host does not notice", live, async () => {
  const script = `node -e 'const all = []; for (;;) all.push(Buffer.alloc(2 ** 27))' >/dev/null 2>&1; echo "ended $?"`;
  const { out } = await runInside(script);
  assert.match(out, /^ended [1-9]/);
});
