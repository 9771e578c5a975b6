import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { temporaryFolder } from "./home.testing.ts";
import { runKeyCommand } from "./run-key-command.ts";

describe("runKeyCommand", () => {
  test("a command that hangs is ended with all that it started", async () => {
    using folder = temporaryFolder();
    const note = join(folder.path, "pid");
    await assert.rejects(runKeyCommand(`sleep 600 & echo $! > ${note}; wait`, { timeoutMs: 1_000 }), /within 1000 ms/);
    const grandchild = Number(readFileSync(note, "utf8"));
    while (isAlive(grandchild)) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test("a child that keeps its output open does not hold it up for ever", async () => {
    await assert.rejects(runKeyCommand("sleep 60 & exit 0", { timeoutMs: 300 }), /within 300 ms/);
  });

  test("it cannot read from the terminal", async () => {
    assert.equal(String(await runKeyCommand("cat; echo done")), "done\n");
  });
});

/** A process that has ended and waits to be reaped is not alive. */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
