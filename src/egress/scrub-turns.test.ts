import assert from "node:assert/strict";
import { test } from "node:test";
import { createScrubTurns } from "./scrub-turns.ts";

/** Keeps the thread busy for so many milliseconds. */
function work(ms: number): void {
  const endsAt = performance.now() + ms;
  while (performance.now() < endsAt);
}

test("a turn that was used up has no time left, and the next one has", async () => {
  const turns = createScrubTurns();
  turns.run(() => work(25));
  assert.equal(turns.hasTime(), false);
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(turns.hasTime(), true);
});

test("what waits is run in order, and leaves turns to others in between", async () => {
  const turns = createScrubTurns();
  const order: string[] = [];
  const done = new Promise<void>((resolve) => {
    for (const name of ["a", "b", "c"]) {
      turns.later(() => {
        turns.run(() => work(25));
        order.push(name);
        setImmediate(() => order.push("other"));
        if (name === "c") resolve();
      });
    }
  });
  await done;
  assert.deepEqual(
    order.filter((name) => name !== "other"),
    ["a", "b", "c"],
  );
  assert.ok(order.includes("other"), "others had a turn before the last");
});
