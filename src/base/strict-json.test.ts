import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseStrictJson } from "./strict-json.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

const REFUSED: Record<string, [Uint8Array | string, RegExp]> = {
  "a key twice": ['{"a":1,"a":2}', /same key twice/],
  "a key twice, once in escapes": ['{"a":1,"\\u0061":2}', /same key twice/],
  "a key twice, deep inside": ['[{"x":{"k":[{"a":1,"b":2,"a":3}]}}]', /same key twice/],
  "the empty key twice": ['{"":1,"":2}', /same key twice/],
  "a key twice among texts full of colons, quotes and braces": ['{"a:\\"{":"}:,\\\\","a:\\"{":1}', /same key twice/],
  __proto__: ['{"__proto__":{"admin":true}}', /__proto__/],
  "__proto__ in escapes": ['{"\\u005f_proto__":1}', /__proto__/],
  "NUL in a key": ['{"a\\u0000":1}', /NUL/],
  "a lone surrogate in a value": ['"\\ud800"', /surrogate/],
  "a lone surrogate in a list": ['[["\\udc00"]]', /surrogate/],
  "a lone surrogate in a key": ['{"\\ud83d":1}', /surrogate/],
  "a lone surrogate in the text itself": ['"\ud800"', /UTF-8/],
  "a byte order mark": [bytes(0xef, 0xbb, 0xbf, 0x31), /byte order mark/],
  "a byte order mark in a text": ["\ufeff1", /byte order mark/],
  "invalid UTF-8": [bytes(0x22, 0xff, 0x22), /UTF-8/],
  "overlong UTF-8": [bytes(0x22, 0xc0, 0xaf, 0x22), /UTF-8/],
  "a surrogate in UTF-8": [bytes(0x22, 0xed, 0xa0, 0x80, 0x22), /UTF-8/],
  "UTF-16": [new Uint8Array(Buffer.from('{"a":1}', "utf16le")), /not JSON/],
  "a number beyond a double": ["1e400", /range/],
  "a negative number beyond a double": ["[-1e999]", /range/],
  "a long number beyond a double": ["9".repeat(400), /range/],
  "nesting over the limit": ["[".repeat(65) + "]".repeat(65), /deeper than 64/],
  "endless nesting": ["[".repeat(1_000_000), /deeper than 64/],
  "an open text": ['{"a', /not JSON/],
  "a comment": ["{}//", /not JSON/],
  "two values": ["1 2", /not JSON/],
  nothing: ["", /not JSON/],
  NaN: ["NaN", /not JSON/],
  "a trailing comma": ["[1,]", /not JSON/],
};

for (const [what, [input, problem]] of Object.entries(REFUSED)) {
  test(`refuses ${what}`, () => {
    const parsed = parseStrictJson(input);
    assert.equal(parsed.ok, false);
    assert.match(parsed.ok ? "" : parsed.problem, problem);
  });
}

const ACCEPTED: Record<string, string> = {
  "`constructor` and `prototype` as data": '{"constructor":1,"prototype":2,"toString":3}',
  "keys that differ in case": '{"a":1,"A":2}',
  "a pair of surrogates in escapes": '"\\ud83d\\ude00"',
  "the same key in different objects": '[{"a":1},{"a":{"a":1}}]',
  "colons and quotes in texts": '{"a":"b:\\"c\\\\","d":":"}',
  "nesting at the limit": "[".repeat(64) + "]".repeat(64),
  "NUL in a value": '"a\\u0000b"',
};
for (const [what, input] of Object.entries(ACCEPTED)) {
  test(`accepts ${what}`, () => {
    const expected = { ok: true, value: JSON.parse(input), lossy: false };
    assert.deepEqual(parseStrictJson(input), expected);
    assert.deepEqual(parseStrictJson(new TextEncoder().encode(input)), expected);
  });
}

test("keys that differ in case alone are refused in an envelope, and in what is directly in it", () => {
  const strict = (text: string) => parseStrictJson(text, { foldCase: true }).ok;
  assert.equal(strict('{"method":1,"Method":2}'), false);
  assert.equal(strict('{"params":{"name":1,"NAME":2}}'), false);
  assert.equal(strict('{"k":1,"\\u212a":2}'), false, "the Kelvin sign is a k to some readers");
  assert.equal(strict('{"params":{"arguments":{"a":1,"A":2}}}'), true);
});

test("a number that cannot be kept is flagged", () => {
  const lossy = (text: string) => {
    const parsed = parseStrictJson(text);
    return parsed.ok && parsed.lossy;
  };
  const kept = [
    "0",
    "-0",
    "0.1",
    "1.0",
    "1e2",
    "1E+2",
    "100.50",
    "9007199254740991",
    "0.1000000000000000",
    "1e-7",
    "5e-324",
    "0e400",
  ];
  const lost = [
    "9007199254740993",
    "9007199254740992",
    "-9007199254740993",
    "1e22",
    "0.10000000000000000001",
    "1e-400",
    "3.14159265358979323846",
    `0.${"1".repeat(500)}`,
  ];
  for (const text of kept) assert.equal(lossy(`{"a":[${text}]}`), false, text);
  for (const text of lost) assert.equal(lossy(`{"a":[${text}]}`), true, text);
  assert.equal(lossy('"9007199254740993"'), false);
});

test("law: what JSON.stringify writes is read back as it was, and a repeated key is always found", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), fc.nat(3), (value, spaces) => {
      const text = JSON.stringify(value, undefined, spaces);
      if (/__proto__|\\u0000/.test(text) || !text.isWellFormed() || /\\ud[89a-f]/.test(text)) return;
      const parsed = parseStrictJson(text);
      assert.deepEqual(parsed.ok && parsed.value, JSON.parse(text));
      const key = JSON.stringify(Object.keys(Object(value))[0] ?? "");
      if (typeof value !== "object" || value === null || Array.isArray(value) || Object.keys(value).length === 0)
        return;
      assert.equal(parseStrictJson(text.replace(/^\{/, `{${key}:1,`)).ok, false);
    }),
    { numRuns: 300 },
  );
});
