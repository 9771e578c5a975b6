import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Problem } from "../base/problem.ts";
import type { AnswerSink } from "../egress/answer.ts";
import { callTo } from "./broker.testing.ts";
import { createByteBudget } from "./byte-budget.ts";
import type { RunningCall } from "./call-request.ts";
import { collectAnswer } from "./collect-answer.ts";

/** A broker's `call` that the test drives. */
function drivenCall() {
  let sink: AnswerSink | undefined;
  let left = 0;
  const running = { resume() {}, leave: () => void left++, truncated: false, redacted: 0 } satisfies RunningCall;
  return {
    run: (_: unknown, given: AnswerSink): RunningCall => {
      sink = given;
      return running;
    },
    get sink() {
      assert.ok(sink);
      return sink;
    },
    left: () => left,
  };
}

const HEAD = { status: 200, headers: [] } as const;

test("an answer is kept whole, and its bytes given back when it has left", async () => {
  const budget = createByteBudget(100);
  const call = drivenCall();
  const then: (() => void)[] = [];
  const collected = collectAnswer(call.run, callTo("GET /"), { budget, whenSent: (give) => void then.push(give) });
  call.sink.head(HEAD);
  call.sink.data(Buffer.from("he"));
  call.sink.data(Buffer.from("llo"));
  call.sink.end();
  const { body, head } = await collected;
  assert.deepEqual([body.toString(), head.status, budget.usedBytes], ["hello", 200, 5]);
  for (const give of then) give();
  assert.equal(budget.usedBytes, 0);
});

test("a refusal is thrown as it came", async () => {
  const call = drivenCall();
  const collected = collectAnswer(call.run, callTo("GET /"), { budget: createByteBudget(100) });
  call.sink.fail(new Problem("upstream_timeout"));
  await assert.rejects(collected, (error) => error instanceof Problem && error.code === "upstream_timeout");
});

for (const how of ["fail", "end"] as const) {
  test(`an answer that there was no room for is never given out as whole (${how})`, async () => {
    const budget = createByteBudget(10);
    const call = drivenCall();
    const collected = collectAnswer(call.run, callTo("GET /"), { budget });
    call.sink.head(HEAD);
    call.sink.data(Buffer.alloc(4));
    call.sink.data(Buffer.alloc(4));
    call.sink.data(Buffer.alloc(1));
    assert.equal(call.left(), 1, "it is ended once");
    if (how === "end") call.sink.end();
    else call.sink.fail(new Problem("invalid_request"));
    await assert.rejects(collected, (error) => error instanceof Problem && error.code === "upstream_too_large");
    assert.equal(budget.usedBytes, 0);
  });
}

test("a caller that has left, before or while it runs, ends the call and leaves no listener", async () => {
  for (const when of ["before", "while"] as const) {
    const call = drivenCall();
    const controller = new AbortController();
    if (when === "before") controller.abort();
    const collected = collectAnswer(call.run, callTo("GET /"), {
      budget: createByteBudget(10),
      signal: controller.signal,
    });
    controller.abort();
    assert.equal(call.left(), 1);
    call.sink.fail(new Problem("invalid_request"));
    await assert.rejects(collected);
  }
  const call = drivenCall();
  const controller = new AbortController();
  const collected = collectAnswer(call.run, callTo("GET /"), {
    budget: createByteBudget(10),
    signal: controller.signal,
  });
  call.sink.head(HEAD);
  call.sink.end();
  await collected;
  controller.abort();
  assert.equal(call.left(), 0);
});

test("law: whatever calls do, all bytes come back, the limit holds, and one holder leaves half to the others", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b"), fc.nat(60)), { maxLength: 40 }), (takes) => {
      const budget = createByteBudget(100);
      const taken: [string, number][] = [];
      for (const [holder, bytes] of takes) if (budget.take(holder, bytes)) taken.push([holder, bytes]);
      assert.ok(budget.usedBytes <= 100);
      for (const holder of ["a", "b"]) {
        const mine = taken.filter(([whose]) => whose === holder).reduce((sum, [, bytes]) => sum + bytes, 0);
        assert.ok(mine <= 50);
      }
      for (const [holder, bytes] of taken) budget.give(holder, bytes);
      assert.equal(budget.usedBytes, 0);
      assert.ok(budget.take("a", 50));
    }),
    { numRuns: 200 },
  );
});
