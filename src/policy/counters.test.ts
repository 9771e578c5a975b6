import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createCounters, EXACT_COUNT } from "./counters.ts";

const rate = { count: 2, perSeconds: 60 };
const rates = [{ rule: "role:r", rate }];

function at(seconds: number): Date {
  return new Date(1_800_000_000_000 + seconds * 1_000);
}

test("a place is free again exactly when its call left the window", () => {
  const counters = createCounters();
  counters.count(rates, "bot", at(0));
  assert.deepEqual(counters.room("role:r", "bot", rate, at(1)), { ok: true });
  counters.count(rates, "bot", at(10));
  assert.deepEqual(counters.room("role:r", "bot", rate, at(10)), { ok: false, retryAfterSeconds: 50 });
  assert.deepEqual(counters.room("role:r", "bot", rate, at(59.999)), { ok: false, retryAfterSeconds: 1 });
  assert.deepEqual(counters.room("role:r", "bot", rate, at(60)), { ok: true });
});

test("agents, rules and rates count apart", () => {
  const counters = createCounters();
  counters.count(rates, "bot", at(0));
  counters.count(rates, "bot", at(0));
  assert.equal(counters.room("role:r", "bot", rate, at(0)).ok, false);
  assert.equal(counters.room("role:r", "bot2", rate, at(0)).ok, true);
  assert.equal(counters.room("role:r bot", "", rate, at(0)).ok, true);
  assert.equal(counters.room("role:q", "bot", rate, at(0)).ok, true);
  assert.equal(counters.room("role:r", "bot", { count: 3, perSeconds: 60 }, at(0)).ok, true);
});

test("a clock that steps back frees nothing", () => {
  const counters = createCounters();
  counters.count(rates, "bot", at(100));
  counters.count(rates, "bot", at(0));
  assert.equal(counters.room("role:r", "bot", rate, at(99)).ok, false);
  assert.equal(counters.room("role:r", "bot", rate, at(159)).ok, false);
  assert.equal(counters.room("role:r", "bot", rate, at(160)).ok, true);
});

test("a full table refuses a new window, and takes it once another ran out", () => {
  const counters = createCounters({ maxWindows: 1 });
  counters.count(rates, "bot", at(0));
  assert.equal(counters.room("role:r", "other", rate, at(0)).ok, false);
  assert.equal(counters.room("role:r", "other", rate, at(61)).ok, true);
});

test("a rate of nothing has no room", () => {
  assert.equal(createCounters().room("role:r", "bot", { count: 0, perSeconds: 60 }, at(0)).ok, false);
});

test("take is all or nothing", () => {
  const counters = createCounters();
  const one = { rule: "role:one", rate: { count: 1, perSeconds: 60 } };
  assert.equal(counters.take([...rates, one], "bot", at(0)).ok, true);
  assert.equal(counters.take([...rates, one], "bot", at(1)).ok, false);
  assert.equal(counters.room("role:r", "bot", rate, at(1)).ok, true);
});

test("never more calls in any window than the rate says, for small and for large counts", () => {
  for (const count of [3, EXACT_COUNT + 5]) {
    const limit = { count, perSeconds: 10 };
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 4_000 }), { minLength: 5, maxLength: 60 }), (steps) => {
        const counters = createCounters();
        const taken: number[] = [];
        let now = 0;
        for (const step of steps) {
          now += step;
          // A burst, so that a large count is reached in few steps.
          for (let burst = 0; burst < Math.ceil(count / 3); burst++) {
            if (counters.take([{ rule: "r", rate: limit }], "bot", at(now / 1_000)).ok) taken.push(now);
          }
        }
        for (const [index, start] of taken.entries()) {
          const inside = taken.slice(index, index + count + 1).filter((time) => time < start + 10_000);
          assert.ok(inside.length <= count);
        }
      }),
      { numRuns: 15 },
    );
  }
});
