import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { acquireHomeLock } from "./home-lock.ts";

const HOLDER = `
  const { acquireHomeLock } = await import(process.argv[1]);
  globalThis.lock = await acquireHomeLock(process.argv[2], { waitMs: 0 });
  console.log("held:" + lock.held);
  setInterval(() => {}, 1000);
`;

describe("acquireHomeLock", () => {
  const home = mkdtempSync(join(tmpdir(), "doorward-lock-"));
  test.after(() => rmSync(home, { recursive: true, force: true }));

  test("one at a time in one process; free again when let go", async () => {
    const first = await acquireHomeLock(home, { waitMs: 0 });
    assert.ok(!first.held);
    assert.deepEqual(await acquireHomeLock(home, { waitMs: 0 }), { held: true });
    first[Symbol.dispose]();
    const second = await acquireHomeLock(home, { waitMs: 0 });
    assert.ok(!second.held);
    second[Symbol.dispose]();
  });

  test("held by another process until that is killed", async () => {
    const module = new URL("./home-lock.ts", import.meta.url).href;
    const child = spawn(process.execPath, ["--input-type=module", "-e", HOLDER, module, home], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(child.stdout, "data");
    assert.match(String(line), /held:false/);
    assert.deepEqual(await acquireHomeLock(home, { waitMs: 0 }), { held: true });
    const waiting = acquireHomeLock(home, { waitMs: 20_000 });
    child.kill("SIGKILL");
    const lock = await waiting;
    assert.ok(!lock.held);
    lock[Symbol.dispose]();
  });

  test("a lock file that is none is said, not waited for", async () => {
    const other = mkdtempSync(join(tmpdir(), "doorward-lock-"));
    try {
      writeFileSync(join(other, "lock"), "not a database, long enough to be looked at ".repeat(40));
      await assert.rejects(acquireHomeLock(other, { waitMs: 0 }), Problem);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });
});
