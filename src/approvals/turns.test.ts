import assert from "node:assert/strict";
import { test } from "node:test";
import { createTurns } from "./turns.ts";

test("work of one key runs one after the other, in order, whatever fails; other keys do not wait", async () => {
  const turns = createTurns();
  const log: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const first = turns("a", async () => {
    await gate;
    log.push("a1");
    throw new Error("a1 failed");
  });
  const second = turns("a", async () => log.push("a2"));
  await turns("b", async () => log.push("b"));
  open();
  await assert.rejects(first, /a1 failed/);
  await second;
  await turns("a", async () => log.push("a3"));
  assert.deepEqual(log, ["b", "a1", "a2", "a3"]);
});
