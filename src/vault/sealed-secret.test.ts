import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createKeyring } from "./keyring.ts";
import { type SecretFacts, sealSecret, unsealSecret } from "./sealed-secret.ts";

const keyring = createKeyring({ homeId: "home", homeKey: randomBytes(32) });
const facts: fc.Arbitrary<SecretFacts> = fc.record({
  name: fc.constantFrom("a", "b", "registrar"),
  version: fc.integer({ min: 1, max: 3 }),
  short: fc.constantFrom(0, 1),
  created_at: fc.constantFrom("2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"),
  rotated_at: fc.constantFrom(null, "2026-03-01T00:00:00.000Z"),
  expires_at: fc.constantFrom(null, "2027-01-01T00:00:00.000Z", "2028-01-01T00:00:00.000Z"),
});
const values = fc.uint8Array({ minLength: 1, maxLength: 100 });
const RUNS = { numRuns: 300 };

describe("sealSecret", () => {
  test("law: opens to what was sealed", () => {
    fc.assert(
      fc.property(facts, values, (given, value) => {
        assert.deepEqual(unsealSecret(keyring, sealSecret(keyring, given, value)), Buffer.from(value));
      }),
      RUNS,
    );
  });

  test("law: a row with any field changed opens nothing", () => {
    fc.assert(
      fc.property(facts, facts, values, (given, other, value) => {
        fc.pre(JSON.stringify(given) !== JSON.stringify(other));
        assert.equal(unsealSecret(keyring, { ...sealSecret(keyring, given, value), ...other }), undefined);
      }),
      RUNS,
    );
  });

  test("law: boxes swapped between two rows, both or one of them, open nothing", () => {
    fc.assert(
      fc.property(facts, facts, values, values, (left, right, one, two) => {
        fc.pre(left.name !== right.name || left.version !== right.version);
        const a = sealSecret(keyring, left, one);
        const b = sealSecret(keyring, right, two);
        for (const [row, other] of [[a, b] as const, [b, a] as const]) {
          assert.equal(unsealSecret(keyring, { ...row, sealed: other.sealed }), undefined);
          assert.equal(unsealSecret(keyring, { ...row, wrapped_key: other.wrapped_key }), undefined);
          const both = { ...row, sealed: other.sealed, wrapped_key: other.wrapped_key };
          assert.equal(unsealSecret(keyring, both), undefined);
        }
      }),
      RUNS,
    );
  });

  test("a row of another home opens nothing", () => {
    const row = sealSecret(
      keyring,
      { name: "a", version: 1, short: 0, created_at: "", rotated_at: null, expires_at: null },
      Buffer.from("value"),
    );
    const other = createKeyring({ homeId: "other", homeKey: randomBytes(32) });
    assert.equal(unsealSecret(other, row), undefined);
  });
});
