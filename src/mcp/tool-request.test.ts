import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { readCall } from "./tool-request.ts";

const BASE = { service: "dns", method: "GET", path: "/a" };

function read(args: JsonObject, lossy = false) {
  return readCall({ ...BASE, ...args }, { lossy });
}

function refusedWith(code: string, detail: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof Problem && error.code === code && detail.test(error.message);
}

const TARGETS: Record<string, readonly [JsonObject, string]> = {
  "no query": [{}, "/a"],
  "an empty query": [{ query: {} }, "/a"],
  "text, number and truth": [{ query: { a: "x y", b: 1.5, c: true } }, "/a?a=x%20y&b=1.5&c=true"],
  "a list repeats the key": [{ query: { a: ["1", 2] } }, "/a?a=1&a=2"],
  "what separates is encoded": [{ query: { "a&b": "c=d&e#?+" } }, "/a?a%26b=c%3Dd%26e%23%3F%2B"],
  "beside the path's own": [{ path: "/a?x=1", query: { y: "2" } }, "/a?x=1&y=2"],
  "behind a bare question mark": [{ path: "/a?", query: { y: "2" } }, "/a?y=2"],
  "behind a separator": [{ path: "/a?x=1&", query: { y: "2" } }, "/a?x=1&y=2"],
};

for (const [what, [args, target]] of Object.entries(TARGETS)) {
  test(`query: ${what}`, () => assert.equal(read(args).raw.target, target));
}

test("a key in path and query is refused, however the path spells it", () => {
  for (const path of ["/a?k=1", "/a?%6B=1", "/a?x&k", "/a?k"]) {
    assert.throws(() => read({ path, query: { k: "2" } }), refusedWith("invalid_request", /`k` stands in/));
  }
  assert.throws(() => read({ path: "/a?b+c=1", query: { "b c": "2" } }), refusedWith("invalid_request", /stands in/));
});

test("numbers that were not read exactly are not sent", () => {
  assert.throws(() => read({ query: { a: 2 ** 53 } }), refusedWith("invalid_request", /exact/));
  assert.throws(() => read({ query: { a: 1 } }, true), refusedWith("invalid_request", /exact/));
  assert.throws(() => read({ body: { a: 1 } }, true), refusedWith("invalid_request", /exactly/));
  assert.equal(read({ query: { a: "1" } }, true).raw.target, "/a?a=1");
  assert.equal(Buffer.from(read({ body: "text" }, true).raw.body ?? []).toString(), '"text"');
});

const REFUSED: Record<string, JsonObject> = {
  "another argument": { url: "http://x" },
  "a missing service": { service: null },
  "a method that is none": { method: "BREW" },
  "a method in lower case": { method: "get" },
  "a query that is a list": { query: [] },
  "a query value that is an object": { query: { a: {} } },
  "a null in the query": { query: { a: null } },
  "half a surrogate in the query": { query: { a: "\ud800" } },
  "headers that are no object": { headers: "a: b" },
  "a header that is a number": { headers: { a: 1 } },
  "a purpose that is empty": { purpose: "" },
  "a purpose that is too long": { purpose: "x".repeat(129) },
  "bytes that are no Base64": { body: { base64: "a*b" } },
  "Base64 with something behind its end": { body: { base64: "YQ==YQ==" } },
  "Base64 of the URL alphabet": { body: { base64: "_-==" } },
};

for (const [what, args] of Object.entries(REFUSED)) {
  test(`refused: ${what}`, () => assert.throws(() => read(args), refusedWith("invalid_request", /./)));
}

const BODIES: readonly (readonly [string, JsonValue, string | undefined, string, string | undefined])[] = [
  ["an object is sent as JSON", { a: 1 }, undefined, '{"a":1}', "application/json"],
  ["a text without a type is JSON too", "x", undefined, '"x"', "application/json"],
  [
    "a text with a type is sent as it is",
    "a=b",
    "application/x-www-form-urlencoded",
    "a=b",
    "application/x-www-form-urlencoded",
  ],
  ["an object keeps a type that was given", [1], "application/vnd.x+json", "[1]", "application/vnd.x+json"],
  ["bytes", { base64: "aGk=" }, undefined, "hi", undefined],
  ["bytes without padding", { base64: "aGk" }, undefined, "hi", undefined],
  [
    "an object that also has `base64`",
    { base64: "aGk=", x: 1 },
    undefined,
    '{"base64":"aGk=","x":1}',
    "application/json",
  ],
  ["null", null, undefined, "null", "application/json"],
];

for (const [what, body, type, sent, typeSent] of BODIES) {
  test(`body: ${what}`, () => {
    const { raw } = read({
      method: "POST",
      body,
      ...(type === undefined ? {} : { headers: { "Content-Type": type } }),
    });
    assert.equal(Buffer.from(raw.body ?? []).toString(), sent);
    assert.equal(raw.headers.find(([name]) => name === "content-type")?.[1], typeSent);
  });
}

test("no body is no body", () => {
  const { raw } = read({ method: "POST" });
  assert.equal(raw.body, undefined);
  assert.deepEqual(raw.headers, []);
});
