import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileGlob } from "./glob.ts";
import { createScopeIndex } from "./scope-index.ts";

const names = fc.string({ unit: fc.constantFrom("a", "b", ":"), maxLength: 8 });
const patterns = fc.string({ unit: fc.constantFrom("a", "b", ":", "*"), maxLength: 6 });

test("`*` crosses colons, everything else is literal", () => {
  const cases: [string, string, boolean][] = [
    ["registrar:records:*", "registrar:records:delete", true],
    ["registrar:records:*", "registrar:records:", true],
    ["registrar:records:*", "registrar:records", false],
    ["registrar:*:delete", "registrar:a:b:delete", true],
    ["*", "anything:at:all", true],
    ["a.c", "abc", false],
    ["a*a", "a", false],
    ["*a*b*", "xxbxxa", false],
    ["", "", true],
  ];
  for (const [pattern, name, expected] of cases) assert.equal(compileGlob(pattern).matches(name), expected, pattern);
});

test("matches exactly what the regular expression of the same meaning matches", () => {
  fc.assert(
    fc.property(patterns, names, (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll("*", "[ab:]*")}$`);
      assert.equal(compileGlob(pattern).matches(name), expression.test(name));
    }),
    { numRuns: 500 },
  );
});

test("the index finds what trying every pattern finds", () => {
  fc.assert(
    fc.property(fc.array(fc.array(patterns, { maxLength: 3 }), { maxLength: 6 }), names, (lists, tail) => {
      const index = createScopeIndex(lists.map((on, rule) => ({ rule, on })));
      const scope = `a:${tail}`;
      const found = [...index.everywhere, ...index.find("a", scope)].sort();
      const expected = lists.flatMap((on, rule) => (on.some((text) => compileGlob(text).matches(scope)) ? [rule] : []));
      assert.deepEqual(found, expected);
    }),
    { numRuns: 300 },
  );
});
