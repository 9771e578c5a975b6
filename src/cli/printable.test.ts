import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { printable, printableLine } from "./printable.ts";

const STEERING = /[\p{Cc}\p{Cf}\u2028\u2029]/u;

test("what steers a terminal, hides or turns text is shown as what it is", () => {
  for (const [text, shown] of [
    ["\x1b[2Jgone", "\\u001b[2Jgone"],
    ["\x9b1mC1", "\\u009b1mC1"],
    ["a\u202eb", "a\\u202eb"],
    ["a\u200bb", "a\\u200bb"],
    ["a\u{e0041}b", "a\\udb40\\udc41b"],
    ["a\rb\bc\x7f", "a\\u000db\\u0008c\\u007f"],
    ["Zürich – 東京 ✓", "Zürich – 東京 ✓"],
  ] as const) {
    assert.equal(printable(text), shown);
    assert.equal(printableLine(text), shown);
  }
  assert.equal(printable("a\n\tb"), "a\n\tb");
  assert.equal(printableLine("a\n\tb"), "a\\u000a\\u0009b", "a line break that somebody else chose would forge a line");
});

test("law: nothing that steers is left, plain text stays, and JSON stays the same JSON", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.doesNotMatch(printableLine(text), STEERING);
      assert.doesNotMatch(printable(text).replace(/[\n\t]/g, ""), STEERING);
      if (!STEERING.test(text)) assert.equal(printableLine(text), text);
      assert.equal(JSON.parse(printable(JSON.stringify({ text }))).text, text);
    }),
    { numRuns: 500 },
  );
});
