import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import type { QueryPair } from "./canonical-query.ts";
import { compileBodySchema, compileQuerySchema } from "./json-schema.ts";
import { SCHEMA_FORMATS } from "./schema-formats.ts";

function checkQuery(schema: JsonObject, ...query: QueryPair[]): string | undefined {
  const compiled = compileQuerySchema(schema);
  assert.ok(compiled.ok, JSON.stringify(compiled));
  return compiled.schema.check(query);
}

function body(schema: JsonObject) {
  const compiled = compileBodySchema(schema);
  assert.ok(compiled.ok, JSON.stringify(compiled));
  return compiled.schema;
}

test("a map of names is short for an object with these properties and no others", () => {
  const types = { type: { enum: ["A", "TXT"] } };
  assert.equal(checkQuery(types, ["type", "A"]), undefined);
  assert.equal(checkQuery(types), undefined);
  assert.match(checkQuery(types, ["type", "NS"]) ?? "", /`\/type` is refused by `#\/properties\/type\/enum`/);
  assert.match(checkQuery(types, ["type", "A"], ["type", "NS"]) ?? "", /enum/, "a list is no text");
  assert.match(checkQuery(types, ["type", "A"], ["x", "1"]) ?? "", /key `x`/);
  for (const key of ["constructor", "__proto__", "toString", "hasOwnProperty"])
    assert.match(checkQuery(types, [key, "1"]) ?? "", /does not know/);
});

test("a schema with a type stands as it is; bare `properties` speak of objects", () => {
  assert.equal(checkQuery({ type: "object", required: ["a"] }, ["a", "1"], ["b", "2"]), undefined);
  assert.match(checkQuery({ type: "object", required: ["a"] }, ["b", "2"]) ?? "", /lacks `a`/);
  assert.match(body({ properties: { amount: { maximum: 100 } } }).check([{ amount: 1000 }]) ?? "", /type/);
  assert.equal(body({ anyOf: [{ type: "string" }, { type: "null" }] }).check(null), undefined);
  assert.match(body({ type: "object", required: ["constructor"] }).check({}) ?? "", /lacks/);
});

test("texts of a query or form are read as the numbers and booleans that the schema asks for, when written plainly", () => {
  const schema = {
    n: { type: "integer", maximum: 10 },
    x: { type: "number" },
    b: { type: "boolean" },
    l: { type: "array", items: { type: "integer" } },
    e: { enum: [1, 2] },
    s: { type: "string" },
  };
  for (const [key, value] of [
    ["n", "10"],
    ["n", "-3"],
    ["x", "1.50"],
    ["b", "true"],
    ["l", "1"],
    ["e", "2"],
    ["s", "1"],
  ] as const)
    assert.equal(checkQuery(schema, [key, value]), undefined, `${key}=${value}`);
  for (const [key, value] of [
    ["n", "11"],
    ["n", "1e1"],
    ["n", "010"],
    ["n", " 1"],
    ["n", ""],
    ["n", "0x5"],
    ["n", "-0"],
    ["n", "9".repeat(20)],
    ["x", "1."],
    ["x", "NaN"],
    ["x", "0.12345678901234567"],
    ["b", "1"],
    ["e", "3"],
  ] as const) {
    assert.notEqual(checkQuery(schema, [key, value]), undefined, `${key}=${value}`);
  }
  assert.equal(checkQuery(schema, ["l", "1"], ["l", "2"]), undefined);
  assert.equal(checkQuery({ flag: { const: "" } }, ["flag", undefined]), undefined);
  const amount = body({ amount: { type: "integer", maximum: 100 } });
  assert.equal(amount.checkForm({ amount: "100" }), undefined);
  assert.notEqual(amount.checkForm({ amount: "101" }), undefined);
  assert.notEqual(amount.checkForm({ amount: ["1", "101"] }), undefined);
  assert.notEqual(amount.check({ amount: "100" }), undefined, "JSON is not read so");
});

test("the fault names the schema, never the value", () => {
  const fault = body({ type: "object", properties: { a: { type: "array", items: { pattern: "^x$" } } } }).check({
    a: ["x", "hunter22"],
  });
  assert.equal(fault, "`/a/1` is refused by `#/properties/a/items/pattern`");
});

const FAULTY: Record<string, [JsonObject, RegExp]> = {
  "an unknown keyword": [{ a: { type: "string", patern: "x" } }, /patern/],
  "an unknown format": [{ a: { type: "string", format: "credit-card" } }, /format `credit-card`/],
  "a pattern that cannot be linear": [{ a: { type: "string", pattern: "(?=a)a" } }, /regexp/],
  "a back reference": [{ a: { type: "string", pattern: "(a)\\1" } }, /regexp/],
  "a broken pattern": [{ a: { type: "string", pattern: "(" } }, /regexp/],
  "a remote reference": [{ a: { $ref: "https://example.com/schema.json" } }, /leaves the schema/],
  "a file reference": [{ a: { $ref: "other.json#/a" } }, /leaves the schema/],
  "a dangling reference": [{ a: { $ref: "#/$defs/none" } }, /nowhere/],
  "a recursive reference": [{ type: "object", properties: { a: { $ref: "#" } } }, /itself/],
  $id: [{ type: "object", $id: "x" }, /\$id/],
  $async: [{ type: "object", $async: true }, /\$async/],
  "no schema at all": [{ a: "string" }, /JSON Schema/],
  "a wrong keyword value": [{ a: { maximum: "10" } }, /maximum/],
  "unlimited uniqueItems": [{ a: { type: "array", uniqueItems: true } }, /uniqueItems/],
  "a schema of great size": [{ a: { enum: Array.from({ length: 3_000 }, (_, index) => index) } }, /too large/],
  "a schema of great depth": [
    Array.from({ length: 40 }).reduce<JsonObject>((inner) => ({ not: inner }), { type: "object", not: {} }),
    /too large/,
  ],
  "references that double at each step": [
    {
      type: "object",
      allOf: [{ $ref: "#/$defs/d0" }],
      $defs: Object.fromEntries(
        Array.from({ length: 25 }, (_, at) => [
          `d${at}`,
          at === 24 ? {} : { allOf: [{ $ref: `#/$defs/d${at + 1}` }, { $ref: `#/$defs/d${at + 1}` }] },
        ]),
      ),
    },
    /too large/,
  ],
};
for (const [what, [schema, problem]] of Object.entries(FAULTY)) {
  test(`${what} is a fault with a remedy`, () => {
    for (const compiled of [compileBodySchema(schema), compileQuerySchema(schema)]) {
      assert.match(compiled.ok ? "" : compiled.problem, problem);
      assert.match(compiled.ok ? "" : compiled.remedy, /\w/);
    }
  });
}

test("a check whose patterns would take too long refuses, also under `not`", () => {
  const text = "ab".repeat(200_000);
  assert.match(body({ a: { type: "string", pattern: "[ab]*a[ab]{200}$" } }).check({ a: text }) ?? "", /too large/);
  assert.match(
    body({ a: { not: { type: "string", pattern: "[ab]*a[ab]{200}c$" } } }).check({ a: text }) ?? "",
    /too large/,
  );
  const many = Array.from({ length: 5_000 }, () => "ab".repeat(20));
  assert.match(
    body({ a: { type: "array", items: { type: "string", pattern: "[ab]*a[ab]{200}$|b$" } } }).check({ a: many }) ?? "",
    /too large/,
  );
});

test("local references hold", () => {
  const schema = body({
    type: "object",
    properties: { a: { $ref: "#/$defs/small" } },
    $defs: { small: { type: "integer", maximum: 3 } },
  });
  assert.equal(schema.check({ a: 3 }), undefined);
  assert.notEqual(schema.check({ a: 4 }), undefined);
});

test("formats", () => {
  const right: Record<string, readonly string[]> = {
    date: ["2026-02-28", "2028-02-29"],
    time: ["10:00:00Z", "23:59:60+01:00"],
    "date-time": ["2026-11-21T10:00:00.5Z"],
    uuid: ["123e4567-e89b-12d3-a456-426614174000"],
    ipv4: ["10.0.0.1"],
    ipv6: ["::1"],
    hostname: ["a.example"],
    email: ["a.b+c@example.com"],
    uri: ["https://example.com/?a=%20"],
  };
  const wrong: Record<string, readonly string[]> = {
    date: ["2026-02-29", "2026-13-01", "2026-00-01", "2026-1-1", "2026-01-00"],
    time: ["24:00:00Z", "10:00:00"],
    "date-time": ["2026-11-21", "2026-11-21T10:00"],
    uuid: ["123"],
    ipv4: ["10.1", "010.0.0.1"],
    ipv6: ["1"],
    hostname: ["-a", "a..b", ""],
    email: ["a", "@b", "a@b@c d"],
    uri: ["/a", "https://a b", "x:%zz"],
  };
  assert.deepEqual(Object.keys(right).sort(), Object.keys(SCHEMA_FORMATS).sort());
  for (const [format, texts] of Object.entries(right))
    for (const text of texts) assert.equal(SCHEMA_FORMATS[format]?.(text), true, `${format}: ${text}`);
  for (const [format, texts] of Object.entries(wrong))
    for (const text of texts) assert.equal(SCHEMA_FORMATS[format]?.(text), false, `${format}: ${text}`);
});
