import assert from "node:assert/strict";
import { test } from "node:test";
import { createByteBudget } from "./byte-budget.ts";

test("one holder gets half, so that there is something for the others", () => {
  const budget = createByteBudget(100);
  assert.equal(budget.take("a", 50), true);
  assert.equal(budget.take("a", 1), false);
  assert.equal(budget.take("b", 50), true);
  assert.equal(budget.take("c", 1), false);
  budget.give("a", 50);
  assert.equal(budget.usedBytes, 50);
  assert.equal(budget.take("a", 50), true);
});
