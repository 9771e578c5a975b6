import assert from "node:assert/strict";
import { test } from "node:test";
import { createAddressQuota } from "./address-quota.ts";
import { createDpopNonces } from "./dpop-nonces.ts";
import { createReplayMemory } from "./replay-memory.ts";

const at = (seconds: number) => new Date(Date.UTC(2026, 2, 1) + seconds * 1_000);

test("an address has so much room in a window, and others have theirs", () => {
  const quota = createAddressQuota({ limit: 2, windowMs: 60_000 });
  assert.deepEqual(
    ["a", "a", "a", "b"].map((address) => quota.take(address, at(0))),
    [undefined, undefined, 60, undefined],
  );
  assert.equal(quota.take("a", at(59)), 1);
  assert.equal(quota.take("a", at(60)), undefined);
  assert.equal(quota.take("a", at(-7_200)), undefined, "a clock that was set back locks nobody out");
});

test("a use is remembered for a span at least, at whatever moment it came", () => {
  for (const first of [0, 30, 119, 120, 121, 239]) {
    const memory = createReplayMemory(120_000);
    memory.isFirst("warm", at(0));
    assert.equal(memory.isFirst("x", at(first)), true);
    for (const later of [0, 1, 60, 119])
      assert.equal(memory.isFirst("x", at(first + later)), false, `${first}+${later}`);
    assert.equal(memory.isFirst("x", at(first + 500)), true);
  }
});

test("a nonce is good for one to two minutes, and for the home that made it", () => {
  const nonces = createDpopNonces(Buffer.alloc(32, 1));
  const nonce = nonces.current(at(0));
  assert.equal(nonces.isGood(nonce, at(119)), true);
  assert.equal(nonces.isGood(nonce, at(120)), false);
  assert.equal(createDpopNonces(Buffer.alloc(32, 2)).isGood(nonce, at(0)), false);
  for (const wrong of ["", "x", `${nonce}x`]) assert.equal(nonces.isGood(wrong, at(0)), false);
});
