import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MAX_QUERY_PAIRS } from "./canonical-query.ts";
import { canonicalise } from "./canonicalise.ts";
import { accepted, FORM, rawRequest, refusal } from "./request.testing.ts";

const search = (query: string) => accepted({ target: `/?${query}` }).search;

test("a query is read as forms are, and written in one way", () => {
  const written: Record<string, string> = {
    "a=1&b=2": "?a=1&b=2",
    "a=1&a=2": "?a=1&a=2",
    flag: "?flag",
    "a=": "?a=",
    "q=a+b": "?q=a%20b",
    "q=a%20b": "?q=a%20b",
    "q=a%2Bb": "?q=a%2Bb",
    "q=a;b=1": "?q=a%3Bb%3D1",
    "a=b=c": "?a=b%3Dc",
    "expand[]=x&expand[]=y": "?expand%5B%5D=x&expand%5B%5D=y",
    "filter[a]=1&filter[b]=2": "?filter%5Ba%5D=1&filter%5Bb%5D=2",
    "next=https%3A%2F%2Fexample.com%2F%3Fa%3D1%2526": "?next=https%3A%2F%2Fexample.com%2F%3Fa%3D1%2526",
    "text=a%0Ab%09c": "?text=a%0Ab%09c",
    "%61=%7e": "?a=~",
    "name=caf%c3%a9": "?name=caf%C3%A9",
    "a=1&": "?a=1",
    "&&a=1&&b=2": "?a=1&b=2",
    "": "",
    "&": "",
    "=x": "?=x",
    "a=/x?y": "?a=%2Fx%3Fy",
    "method=user.getInfo": "?method=user.getInfo",
  };
  for (const [query, sent] of Object.entries(written)) assert.equal(search(query), sent, query);
  assert.deepEqual(accepted({ target: "/?a=1&b&a=%20+&c=" }).query, [
    ["a", "1"],
    ["b", undefined],
    ["a", "  "],
    ["c", ""],
  ]);
  assert.deepEqual(accepted({ target: "/?constructor=1&__proto__=2" }).query, [
    ["constructor", "1"],
    ["__proto__", "2"],
  ]);
});

const REFUSED: Record<string, readonly string[]> = {
  "method overrides, however they are spelt": [
    "_method=DELETE",
    "_METHOD=x",
    "%5fmethod=x",
    "_method",
    "_method[]=x",
    "[_method=x",
    "[_method]=x",
    "_method[a]=x",
    "__method=x",
    ".method=x",
    "-method=x",
    "x-http-method-override=PUT",
    "X_HTTP_Method_Override=PUT",
    "x.http.method.override=PUT",
    "_httpMethod=PUT",
    "http_method=x",
    "X-Method-Override=x",
    "x-http-method=x",
    "%EF%BC%BFmethod=x",
    "$httpMethod=PATCH",
    "$httpHeaders=x",
    "a=1&_method=x",
  ],
  "keys encoded twice": ["%255fmethod=x", "a%2561=1", "%25u0061=1"],
  "keys with control characters": ["a%00=1", "a%0a=1", "_method%00=x"],
  "separators in keys": ["_method%26=1", "a%3Db=1", "a;b=1", "a%26b", "a%23=1"],
  "keys that a reader may trim": ["%20a=1", "+a=1", "a%20=1", "%C2%A0a=1"],
  "keys in compatibility letters": ["%EF%BD%81=1", "cafe%CC%81=1"],
  "broken escapes": ["a=%", "a=%zz", "%=1", "a=%ff", "%c0%af=1", "a=%ed%a0%80", "a=100%"],
  "control characters in values": ["a=%00", "a=%1b", "a=%7f", "a=%08"],
  "keys that are one to some readers": [
    "type=A&Type=NS",
    "type=A&type[]=NS",
    "type[]=A&type=NS",
    "a.b=1&a_b=2",
    "a%20b=1&a_b=1",
    "a[x]=1&A[x]=2",
  ],
};
for (const [what, queries] of Object.entries(REFUSED)) {
  test(`refuses ${what}`, () => {
    for (const query of queries) assert.match(refusal({ target: `/?${query}` }), /^not_canonical: /, query);
  });
}

test("the key of the credential is Doorward's own, in any spelling", () => {
  const form = { credential: { query: "api_key" } };
  for (const query of ["api_key=x", "API_KEY=x", "api.key=x", "api_key[]=x", "a=1&api%5Fkey", "%61pi_key=x"]) {
    assert.match(refusal({ target: `/?${query}` }, form), /^not_canonical: .*credential/, query);
  }
  assert.equal(accepted({ target: "/?key=x" }, form).search, "?key=x");
});

test("limits", () => {
  assert.match(refusal({ target: `/?a=${"x".repeat(40_000)}` }), /^too_large: /);
  assert.match(refusal({ target: `/?${"a&".repeat(MAX_QUERY_PAIRS + 1)}` }), /^too_large: /);
});

const NASTY = fc.constantFrom(
  ..."& = ; + % %26 %3d %3b %00 %2526 a A _method method [ ] . _ %20 %5f %EF%BC%86 é ? / %c3%a9 %ff".split(" "),
);

test("law: an upstream that splits at `&` or `;` and decodes finds the pairs that the rules saw", () => {
  fc.assert(
    fc.property(fc.array(NASTY, { maxLength: 12 }), (parts) => {
      const result = canonicalise(rawRequest({ target: `/?${parts.join("")}` }), { ...FORM, door: "mcp" });
      if (!result.ok) return;
      const { search: sent, query } = result.request;
      const pieces = sent === "" ? [] : sent.slice(1).split(/[&;]/);
      const read = pieces.map((piece) => {
        const [key = "", value, ...more] = piece.split("=");
        assert.equal(more.length, 0);
        return [decodeURIComponent(key), value === undefined ? undefined : decodeURIComponent(value)];
      });
      assert.deepEqual(read, query);
      assert.deepEqual(
        [...new URLSearchParams(sent)],
        query.map(([key, value = ""]) => [key, value]),
      );
      assert.equal(accepted({ target: `/${sent}` }).search, sent, "a fixed point");
      for (const [key] of query) assert.doesNotMatch(key, /^[^a-zé]*_[^a-zé]*method[^a-zé]*$/i);
    }),
    { numRuns: 1_000 },
  );
});
