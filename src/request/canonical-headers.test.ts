import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalise } from "./canonicalise.ts";
import { accepted, FORM, rawRequest, refusal } from "./request.testing.ts";

const api = (headers: [string, string][], form = {}) => accepted({ headers }, form);

test("the default list and the owner's pass, in lower case, sorted and trimmed", () => {
  const { headers, dropped } = api([
    ["X-Request-Id", " r1 "],
    ["Accept", "a/b"],
    ["If-Match", '"x"'],
    ["Stripe-Version", "2026"],
    ["If-Anything", "y"],
    ["Prefer", "wait"],
    ["traceparent", "00-x"],
  ]);
  assert.deepEqual(headers, [
    ["accept", "a/b"],
    ["if-anything", "y"],
    ["if-match", '"x"'],
    ["prefer", "wait"],
    ["stripe-version", "2026"],
    ["traceparent", "00-x"],
    ["x-request-id", "r1"],
  ]);
  assert.deepEqual(dropped, []);
});

const NEVER = [
  "authorization",
  "cookie",
  "proxy-authorization",
  "proxy-connection",
  "x-forwarded-for",
  "X-Forwarded-Host",
  "forwarded",
  "via",
  "x-real-ip",
  "client-ip",
  "true-client-ip",
  "cf-connecting-ip",
  "doorward-request-id",
  "Doorward-Approval",
  "x-http-method-override",
  "X_HTTP_Method_Override",
  "x-http-method",
  "x-method-override",
  "x_forwarded_for",
  "x-original-url",
  "x-rewrite-url",
  "content_type",
  "if_match",
  "range",
  "x-unlisted",
  "x-custom-method-override",
];
const OWN = [
  "host",
  "user-agent",
  "accept-encoding",
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "Content_Length",
];

test("what may not pass is dropped at the door api and refused at the door mcp, even when the owner lists it", () => {
  const allowHeaders = new Set(
    NEVER.concat(OWN)
      .map((name) => name.toLowerCase())
      .filter((name) => name !== "x-unlisted"),
  );
  for (const name of [...NEVER, ...OWN]) {
    const { headers, dropped } = api([[name, "1"]], { allowHeaders });
    assert.deepEqual(headers, [], name);
    assert.deepEqual(dropped, OWN.includes(name) ? [] : [name.toLowerCase()], name);
    assert.match(refusal({ headers: [[name, "1"]] }, { door: "mcp", allowHeaders }), /^header_refused: /, name);
  }
});

test("the credential's header is Doorward's own", () => {
  const form = { credential: { header: "x-api-key" }, allowHeaders: new Set(["x-api-key", "x_api_key"]) };
  assert.deepEqual(
    api(
      [
        ["X-Api-Key", "k"],
        ["x_api_key", "k"],
      ],
      form,
    ).headers,
    [],
  );
});

test("range passes only where an operation says so", () => {
  assert.deepEqual(
    api([
      ["Range", "bytes=0-1"],
      ["If-Range", "x"],
    ]).headers,
    [],
  );
  assert.deepEqual(api([["Range", "bytes=0-1"]], { ranges: true }).headers, [["range", "bytes=0-1"]]);
  assert.match(refusal({ headers: [["range", "bytes=0-1"]] }, { door: "mcp" }), /^header_refused/);
});

test("the owner's values stand in place of the agent's", () => {
  const setHeaders = new Map([
    ["accept", "application/json"],
    ["x-team", "t"],
  ]);
  for (const door of ["api", "mcp"] as const) {
    const { headers, dropped } = api([["Accept", "text/html"]], { setHeaders, door });
    assert.deepEqual(headers, [
      ["accept", "application/json"],
      ["x-team", "t"],
    ]);
    assert.deepEqual(dropped, ["accept"]);
  }
});

test("a second header of a kind is refused unless it is a list", () => {
  assert.match(
    refusal({
      headers: [
        ["content-type", "text/plain"],
        ["Content-Type", "application/json"],
      ],
    }),
    /^not_canonical: .*content-type/,
  );
  assert.match(
    refusal({
      headers: [
        ["stripe-version", "1"],
        ["stripe-version", "2"],
      ],
    }),
    /^not_canonical: /,
  );
  assert.deepEqual(
    api([
      ["accept", "b"],
      ["accept", "a"],
    ]).headers,
    [
      ["accept", "b"],
      ["accept", "a"],
    ],
  );
});

test("what cannot be sent is refused; what is dropped anyway is not looked at", () => {
  for (const value of ["a\r\nb: c", "a\nb", "a\0", "\u00e9", "a\u007f", "\ud83d\ude00"])
    assert.match(refusal({ headers: [["accept", value]] }), /^invalid_request: /);
  for (const name of ["", "a b", "a:", "a\r\nb", "é", ":path"])
    assert.match(refusal({ headers: [[name, "x"]] }), /^invalid_request: /);
  assert.deepEqual(api([["x-other", "\u00e9"]]).dropped, ["x-other"]);
});

test("a compressed body is refused at both doors", () => {
  for (const name of ["Content-Encoding", "content_encoding"]) {
    assert.match(refusal({ headers: [[name, "gzip"]] }), /^unsupported_encoding: /);
    assert.match(refusal({ headers: [[name, "gzip"]] }, { door: "mcp" }), /^unsupported_encoding: /);
  }
  assert.deepEqual(api([["Content-Encoding", "identity"]]).headers, []);
});

test("limits", () => {
  assert.match(refusal({ headers: [["accept", "x".repeat(17_000)]] }), /^too_large: /);
  assert.match(refusal({ headers: Array.from({ length: 65 }, () => ["accept", "x"] as const) }), /^too_large: /);
});

test("law: nothing passes that is not on a list, and what passes is a fixed point", () => {
  const name = fc.oneof(
    fc.constantFrom(...NEVER, ...OWN, "accept", "ACCEPT", "if-none-match", "stripe-version", "content-type"),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.string({ maxLength: 8 })), { maxLength: 5 }), (headers) => {
      const result = canonicalise(rawRequest({ headers }), FORM);
      if (!result.ok) return;
      for (const [key, value] of result.request.headers) {
        assert.match(key, /^(accept|content-type|stripe-version|if-[a-z-]+)$/);
        assert.match(value, /^[\x20-\x7e\t]*$/);
      }
      assert.deepEqual(accepted({ headers: result.request.headers }, { door: "mcp" }).headers, result.request.headers);
    }),
    { numRuns: 500 },
  );
});

test("of a program's request, headers that nobody listed pass, its Authorization among them; those that name somebody do not", () => {
  const sent: [string, string][] = [
    ["Authorization", "Bearer x"],
    ["X-GitHub-Api-Version", "2022-11-28"],
    ["Git-Protocol", "version=2"],
    ["X-Api-Key", "k"],
  ];
  const never = NEVER.filter((name) => !["authorization", "x-unlisted"].includes(name)).map(
    (name): [string, string] => [name, "1"],
  );
  const range: [string, string] = ["Range", "bytes=0-1"];
  const { headers, dropped } = api([...sent, ...never, range, ["X_Api_Key", "k"]], { door: "egress", program: true });
  assert.deepEqual(headers, [
    ["authorization", "Bearer x"],
    ["git-protocol", "version=2"],
    ["x-api-key", "k"],
    ["x-github-api-version", "2022-11-28"],
  ]);
  assert.ok(dropped.includes("range") && dropped.includes("x_api_key"));
});
