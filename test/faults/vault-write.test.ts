/**
 * Each call by which the vault writes is made to fail, or to be the last: afterwards a secret has its old value or its new one,
 * and all else is as it was. Needs strace; says so where it is missing.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { NOON, openHome, temporaryFolder } from "../../src/vault/home.testing.ts";

const CHILD = new URL("./vault-write.child.ts", import.meta.url).pathname;
const WRITING = "pwrite64,fsync,fdatasync,ftruncate,unlink,rename,link";
const A = { ref: "local:a", service: "api", origin: "https://a.example" };
const B = { ref: "local:b", service: "other", origin: "https://b.example" };
const MAX_KILLED_SETUPS = 12;
const MAX_LOOPED_KILLS = 10;

const straceWorks = spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0;
const skip = straceWorks
  ? false
  : "NOT RUN: strace is missing or may not trace here; faults of the vault's writes are untested";

/** Runs the child under strace and returns what it said. One pool thread, so that "the n-th call" is the same in each run. */
function underStrace(home: string, text: string, options: readonly string[]): string {
  const { stdout } = spawnSync("strace", ["-f", "-qq", ...options, process.execPath, CHILD, home, text], {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
  });
  return stdout;
}

/** The calls of a run without faults: name and its number among its kind on its thread. */
function writingCalls(home: string, text: string): { readonly call: string; readonly nth: number }[] {
  const log = join(home, "strace.log");
  underStrace(home, text, ["-e", `trace=${WRITING}`, "-o", log]);
  const counts = new Map<string, number>();
  return readFileSync(log, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
      if (thread === undefined || call === undefined) return [];
      const nth = (counts.get(`${thread} ${call}`) ?? 0) + 1;
      counts.set(`${thread} ${call}`, nth);
      // Single bytes make room in the shared index, which is rebuilt at will.
      return /"\\0", 1, \d+\)/.test(line) ? [] : [{ call, nth }];
    });
}

async function prepare(home: string): Promise<void> {
  await using open = await openHome(home);
  await open.vault.setSecret({ name: "a", value: Buffer.from("value-of-a-0") }, NOON);
  await open.vault.setSecret({ name: "b", value: Buffer.from("value-of-b-0") }, NOON);
  await open.vault.bindServices([A, B], "bind", NOON);
}

/** Opens the home as the next start would, checks that all but `a` is untouched, and returns the value of `a`. */
async function valueAfter(home: string): Promise<string> {
  await using open = await openHome(home);
  assert.deepEqual(await open.vault.bindServices([A, B], "bind", NOON), []);
  assert.deepEqual(
    (await open.vault.listSecrets(NOON)).map(({ name, state }) => [name, state]),
    [
      ["a", "ok"],
      ["b", "ok"],
    ],
  );
  assert.equal((await open.vault.lease(B.ref, B, NOON)).secret.reveal(), "value-of-b-0");
  return (await open.vault.lease(A.ref, A, NOON)).secret.reveal();
}

describe("writing a secret", { skip }, () => {
  for (const fault of ["error=EIO", "error=ENOSPC", "signal=SIGKILL"]) {
    test(`each call with ${fault}: the old value or the new one, never half`, async () => {
      using folder = temporaryFolder();
      await prepare(folder.path);
      const calls = writingCalls(folder.path, "value-of-a-dry").filter(
        ({ call }) => fault !== "error=ENOSPC" || call === "pwrite64",
      );
      assert.ok(calls.length >= 3, "the trace has the calls");
      let [old, refusals] = ["value-of-a-dry", 0];
      for (const [index, { call, nth }] of calls.entries()) {
        const next = `value-of-a-${fault}-${index}`;
        const said = underStrace(folder.path, next, ["-o", "/dev/null", "-e", `inject=${call}:${fault}:when=${nth}`]);
        const found = await valueAfter(folder.path);
        assert.ok(found === next || found === old, `${call} ${nth}: ${found}`);
        if (/^done$/m.test(said)) assert.equal(found, next, `${call} ${nth} was acknowledged`);
        else refusals += 1;
        old = found;
      }
      assert.ok(refusals > 0, "the faults were felt");
    });
  }

  test("a set-up killed at each kind of call is completed by the next start", async () => {
    using folder = temporaryFolder();
    const dry = temporaryFolder();
    const all = writingCalls(dry.path, "value-of-a-dry");
    dry[Symbol.dispose]();
    const step = Math.ceil(all.length / MAX_KILLED_SETUPS);
    const chosen = all.filter(({ call }, index) => call === "rename" || index % step === 0);
    for (const [index, { call, nth }] of chosen.entries()) {
      const home = join(folder.path, String(index));
      spawnSync("mkdir", ["-m", "700", home]);
      underStrace(home, "value-of-a-killed", ["-o", "/dev/null", "-e", `inject=${call}:signal=SIGKILL:when=${nth}`]);
      await prepare(home);
      assert.equal(await valueAfter(home), "value-of-a-0", `${call} ${nth}`);
    }
  });
});

test("a writer killed at any moment leaves the old value or the new one", async () => {
  using folder = temporaryFolder();
  await prepare(folder.path);
  let old = "value-of-a-0";
  for (let round = 1; round <= MAX_LOOPED_KILLS; round += 1) {
    const next = `value-of-a-${round}`;
    const child = spawn(process.execPath, [CHILD, folder.path, next], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk;
      setTimeout(() => child.kill("SIGKILL"), round);
    });
    await once(child, "close");
    const found = await valueAfter(folder.path);
    assert.ok(found === next || found === old, found);
    if (said.includes("done")) assert.equal(found, next);
    old = found;
  }
});
