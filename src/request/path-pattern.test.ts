import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePathPattern } from "./path-pattern.ts";

test("patterns are read", () => {
  const parsed = parsePathPattern("GET /caf%c3%a9/{id}/{p:encoded}/%61/{rest...}");
  assert.deepEqual(parsed.ok && parsed.pattern, {
    method: "GET",
    steps: [
      { kind: "literal", text: "café" },
      { kind: "one", name: "id", encoded: false },
      { kind: "one", name: "p", encoded: true },
      { kind: "literal", text: "a" },
      { kind: "rest", name: "rest" },
    ],
    names: ["id", "p", "rest"],
    text: "GET /caf%c3%a9/{id}/{p:encoded}/%61/{rest...}",
  });
  for (const text of ["* /{path...}", "GET /", "GET /a/", "POST /café", "GET /projects:list", "GET /a%7Bb%7D"])
    assert.equal(parsePathPattern(text).ok, true, text);
});

const FAULTY: Record<string, RegExp> = {
  "/domains": /method is missing/,
  GET: /method is missing/,
  "get /a": /no method/,
  "TRACE /a": /no method/,
  "GET domains": /begin with/,
  "GET  /a": /begin with/,
  "GET /a b": /white space/,
  "GET /a?b=1": /query/,
  "GET /a#b": /fragment/,
  "GET //a": /doubled/,
  "GET /a/../b": /dot segment/,
  "GET /a%2Fb": /:encoded/,
  "GET /a.": /:encoded/,
  "GET /a\\b": /backslash/,
  "GET /%zz": /escape/,
  "GET /{a}/{a}": /twice/,
  "GET /{id}.json": /mixes/,
  "GET /x{id}": /mixes/,
  "GET /{id": /mixes/,
  "GET /id}": /mixes/,
  "GET /{}": /no placeholder/,
  "GET /{a-b}": /no placeholder/,
  "GET /{a:raw}": /no placeholder/,
  "GET /{a...:encoded}": /no placeholder/,
  "GET /{rest...}/a": /not at the end/,
  "GET /{rest...}/": /not at the end/,
  [`GET ${"/a".repeat(70)}`]: /longer/,
};
for (const [text, problem] of Object.entries(FAULTY)) {
  test(`\`${text.slice(0, 30)}\` is a fault with a remedy`, () => {
    const parsed = parsePathPattern(text);
    assert.match(parsed.ok ? "" : parsed.problem, problem);
    assert.match(parsed.ok ? "" : parsed.remedy, /\w/);
  });
}
