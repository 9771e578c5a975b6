import assert from "node:assert/strict";
import { createSecretKey, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createKeyring } from "./keyring.ts";
import { encodeParts, seal, unseal } from "./seal.ts";

const key = createSecretKey(randomBytes(32));
const places = fc.array(fc.string(), { maxLength: 4 });
const values = fc.uint8Array({ maxLength: 200 });
const RUNS = { numRuns: 300 };

describe("seal", () => {
  test("law: what was sealed is what is opened", () => {
    fc.assert(
      fc.property(places, values, (place, value) => {
        assert.deepEqual(unseal(key, place, seal(key, place, value)), Buffer.from(value));
      }),
      RUNS,
    );
  });

  test("law: any flipped bit, and any cut, opens nothing", () => {
    fc.assert(
      fc.property(places, values, fc.nat(), fc.nat(), (place, value, bit, length) => {
        const box = seal(key, place, value);
        const flipped = Buffer.from(box);
        const at = bit % (box.length * 8);
        flipped[at >> 3] = (flipped[at >> 3] ?? 0) ^ (1 << (at & 7));
        assert.equal(unseal(key, place, flipped), undefined);
        assert.equal(unseal(key, place, box.subarray(0, length % box.length)), undefined);
        assert.equal(unseal(key, place, Buffer.concat([box, Buffer.of(0)])), undefined);
      }),
      RUNS,
    );
  });

  test("law: another place, or another key, opens nothing", () => {
    fc.assert(
      fc.property(places, places, values, (place, other, value) => {
        fc.pre(JSON.stringify(place) !== JSON.stringify(other));
        const box = seal(key, place, value);
        assert.equal(unseal(key, other, box), undefined);
        assert.equal(unseal(createSecretKey(randomBytes(32)), place, box), undefined);
      }),
      RUNS,
    );
  });

  test("law: no two lists of texts have the same bytes", () => {
    const text = fc.stringMatching(/^[ab\0]{0,3}$/);
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), fc.array(text, { maxLength: 4 }), (left, right) => {
        assert.equal(encodeParts(left).equals(encodeParts(right)), JSON.stringify(left) === JSON.stringify(right));
      }),
      RUNS,
    );
  });

  test("the same value is never sealed into the same box", () => {
    assert.notDeepEqual(seal(key, [], Buffer.of(1)), seal(key, [], Buffer.of(1)));
  });
});

describe("keyring", () => {
  const homeKey = randomBytes(32);
  const ring = createKeyring({ homeId: "a", homeKey });

  test("each purpose and each home has keys of its own, the same every time", () => {
    assert.deepEqual(ring.deriveKey("x"), createKeyring({ homeId: "a", homeKey }).deriveKey("x"));
    assert.equal(ring.deriveKey("x").length, 32);
    assert.notDeepEqual(ring.deriveKey("x"), ring.deriveKey("y"));
    assert.notDeepEqual(ring.deriveKey("x"), createKeyring({ homeId: "b", homeKey }).deriveKey("x"));
    assert.notDeepEqual(ring.tag("x", ["p"]), ring.tag("y", ["p"]));
  });

  test("a box opens only for its purpose, place and home", () => {
    const box = ring.seal("x", ["p"], Buffer.from("v"));
    assert.deepEqual(ring.unseal("x", ["p"], box), Buffer.from("v"));
    assert.equal(ring.unseal("y", ["p"], box), undefined);
    assert.equal(ring.unseal("x", ["q"], box), undefined);
    assert.equal(createKeyring({ homeId: "b", homeKey }).unseal("x", ["p"], box), undefined);
  });

  test("survives that the caller overwrites the home key", () => {
    const given = Buffer.from(homeKey);
    const other = createKeyring({ homeId: "a", homeKey: given });
    given.fill(0);
    assert.deepEqual(other.deriveKey("x"), ring.deriveKey("x"));
  });
});
