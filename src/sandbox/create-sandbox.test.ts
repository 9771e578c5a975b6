import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { Problem } from "../base/problem.ts";
import type { ChildSpec } from "./child-spec.ts";
import { createSandbox } from "./create-sandbox.ts";
import type { Detection } from "./detect-bubblewrap.ts";
import { lives } from "./end-tree.ts";

const NONE: Detection = { ok: false, detail: "bubblewrap is not installed", remedy: "Install it." };
const home = mkdtempSync(join(tmpdir(), "doorward-home-"));
after(() => rmSync(home, { recursive: true, force: true }));

const sandbox = createSandbox({ home, path: "/usr/bin:/bin", detect: async () => NONE, cgroups: { found: undefined } });

function spec(over: Partial<Omit<ChildSpec, "config">> & { mode?: "strict" | "degraded" | "off" } = {}): ChildSpec {
  const { mode = "strict", ...rest } = over;
  return {
    service: "s",
    command: "/bin/cat",
    args: [],
    cwd: undefined,
    env: new Map(),
    config: { mode, network: [], read: [], write: [], memoryBytes: 64 * 1024 * 1024, cpu: 1, processes: 8 },
    programFiles: [],
    files: [],
    proxySocket: undefined,
    ...rest,
  };
}

const problem = (wanted: RegExp) => (error: unknown) => error instanceof Problem && wanted.test(error.message);

test("strict without bubblewrap starts nothing and names the remedy", async () => {
  const refused = await sandbox.start(spec()).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(refused instanceof Problem);
  assert.equal(refused.code, "upstream_unreachable");
  assert.match(refused.message, /the program of `s` was not started: bubblewrap is not installed/);
  assert.equal(refused.remedy, "Install it.");
});

test("degraded takes what can be had, and says so", async () => {
  const child = await sandbox.start(spec({ mode: "degraded" }));
  assert.equal(child.mode, "degraded");
  assert.deepEqual(child.limits, { memory: "prlimit", processes: "none", cpu: "none" });
  child.stdin.end("through");
  assert.equal(await text(child.stdout), "through");
  assert.deepEqual(await child.exited, { code: 0, signal: null });
});

test("off does not look for bubblewrap", async () => {
  const never = createSandbox({ home, path: "/usr/bin:/bin", detect: () => Promise.reject(new Error("asked")) });
  const child = await never.start(spec({ mode: "off" }));
  assert.equal(child.mode, "off");
  await child.stop(0);
});

test("a plain child has none of the daemon's variables, and no core", async () => {
  const child = await sandbox.start(
    spec({ mode: "off", command: "/bin/sh", args: ["-c", "env; ulimit -c"], env: new Map([["OWN", "1"]]) }),
  );
  const lines = (await text(child.stdout)).trim().split("\n");
  await child.exited;
  const names = lines.slice(0, -1).map((line) => line.split("=", 1)[0] ?? "");
  assert.deepEqual(
    names.filter(
      (name) => !["PATH", "HOME", "TMPDIR", "LANG", "OWN", "DOORWARD_CHILD", "PWD", "SHLVL", "_"].includes(name),
    ),
    [],
  );
  assert.equal(lines.at(-1), "0");
});

test("what a plain child was given on disk goes with it", async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith("doorward-child-"));
  const child = await sandbox.start(spec({ mode: "off", proxyCaPem: "pem" }));
  await child.stop(0);
  const left = readdirSync(tmpdir()).filter((name) => name.startsWith("doorward-child-") && !before.includes(name));
  assert.deepEqual(left, []);
});

test("a plain child that leaves its session and ignores being asked is ended all the same", async () => {
  const script = `trap '' TERM; setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 1; done' & wait`;
  const child = await sandbox.start(spec({ mode: "off", command: "/bin/sh", args: ["-c", script] }));
  const pid = Number(await new Promise((resolve) => child.stdout.once("data", resolve)));
  assert.ok(pid > 1);
  await child.stop(20);
  assert.ok(!lives(pid));
});

test("a placeholder file is not laid over a file of the host", async () => {
  const files = [{ path: join(home, "token"), content: "x" }];
  await assert.rejects(sandbox.start(spec({ mode: "off", files })), problem(/in a sandbox only/));
});

for (const [what, over] of Object.entries({
  argument: { args: ["a\0--bind\0/\0/"] },
  variable: { env: new Map([["A", "b\0--share-net"]]) },
  "variable's name": { env: new Map([["A\0", "b"]]) },
  path: { programFiles: ["/usr\0"] },
  file: { files: [{ path: "/a\0", content: "" }] },
})) {
  test(`a NUL in an ${what} is refused: it would begin an option`, async () => {
    await assert.rejects(sandbox.start(spec({ mode: "off", ...over })), problem(/NUL/));
  });
}

test("a failed detection is tried again, a success is kept", async () => {
  let asked = 0;
  const mending = createSandbox({
    home,
    path: "",
    detect: async () => {
      asked++;
      return NONE;
    },
  });
  for (let i = 0; i < 2; i++) await assert.rejects(mending.start(spec()));
  assert.equal(asked, 2);
});

test("a program that does not exist is an end, not a hang", async () => {
  const child = await sandbox.start(spec({ mode: "off", command: "/nowhere/at/all" }));
  assert.match(await text(child.stderr), /not found|No such file/);
  assert.equal((await child.exited).code, 127);
});
