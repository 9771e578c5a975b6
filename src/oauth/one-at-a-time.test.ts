import assert from "node:assert/strict";
import { test } from "node:test";
import { createOneAtATime } from "./one-at-a-time.ts";

test("who comes while another uses the value up does not run, and ends nothing", async () => {
  const once = createOneAtATime();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const ran: number[] = [];
  const uses = [1, 2, 3].map((use) =>
    once.use("code", async () => {
      ran.push(use);
      return promise;
    }),
  );
  resolve(true);
  assert.deepEqual(await Promise.all(uses), [true, false, false]);
  assert.deepEqual(ran, [1]);
  assert.equal(await once.use("code", async () => true), true, "a later use is for the server's detection of reuse");
});

test("after a use that failed or threw, the next one runs, one at a time", async () => {
  const once = createOneAtATime();
  let running = 0;
  const run = (outcome: boolean | Error) => () =>
    once.use("code", async () => {
      assert.equal(++running, 1);
      await new Promise(setImmediate);
      running--;
      if (outcome instanceof Error) throw outcome;
      return outcome;
    });
  const [first, ...rest] = [new Error("no"), false, true, true].map((outcome) => run(outcome)());
  await assert.rejects(first!);
  assert.deepEqual(await Promise.all(rest), [true, true, false]);
});
