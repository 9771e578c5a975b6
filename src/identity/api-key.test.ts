import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { looksLikeApiKey, makeApiKey, parseApiKey } from "./api-key.ts";

const ENVIRONMENT = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
const KEY_CHARACTER = fc.stringMatching(/^[0-9A-Za-z_-]$/);

test("a key reads back as what it was made for", () => {
  fc.assert(
    fc.property(ENVIRONMENT, (environment) => {
      const { key, id } = makeApiKey(environment);
      assert.match(key, /^dw_[a-z][a-z0-9-]*_[0-9A-Za-z]{10,}_[0-9A-Za-z]{40}$/);
      assert.deepEqual(parseApiKey(key), { ok: true, id, environment });
    }),
    { numRuns: 300 },
  );
});

test("one wrong character is a mistyped key, wherever it stands", () => {
  const { key } = makeApiKey("production");
  fc.assert(
    fc.property(fc.integer({ min: 3, max: key.length - 1 }), KEY_CHARACTER, (at, character) => {
      fc.pre(key[at] !== character);
      const wrong = key.slice(0, at) + character + key.slice(at + 1);
      assert.deepEqual(parseApiKey(wrong), { ok: false, reason: "mistyped" });
    }),
    { numRuns: 500 },
  );
});

test("a key cut short, doubled or with something behind it is a mistyped key", () => {
  const { key } = makeApiKey("default");
  for (let length = 3; length < key.length; length++) {
    assert.deepEqual(parseApiKey(key.slice(0, length)), { ok: false, reason: "mistyped" }, key.slice(0, length));
  }
  for (const wrong of [key + key, `${key} `, `${key}\n`, `${key}a`, `dw_${"a".repeat(100_000)}`]) {
    assert.deepEqual(parseApiKey(wrong), { ok: false, reason: "mistyped" });
  }
});

test("two neighbouring characters swapped are found", () => {
  const { key } = makeApiKey("default");
  for (let at = 3; at < key.length - 1; at++) {
    if (key[at] === key[at + 1]) continue;
    const swapped = key.slice(0, at) + key[at + 1] + key[at] + key.slice(at + 2);
    assert.deepEqual(parseApiKey(swapped), { ok: false, reason: "mistyped" });
  }
});

test("what does not begin as a key does is none", () => {
  for (const text of ["", "dw", "sk_live_abc", "DW_default_x", " dw_default_x", "Bearer dw_x"]) {
    assert.deepEqual(parseApiKey(text), { ok: false, reason: "malformed" });
    assert.equal(looksLikeApiKey(text), false);
  }
});

test("no two keys are alike", () => {
  const keys = Array.from({ length: 1_000 }, () => makeApiKey("default"));
  assert.equal(new Set(keys.map(({ key }) => key)).size, 1_000);
  assert.equal(new Set(keys.map(({ id }) => id)).size, 1_000);
});
