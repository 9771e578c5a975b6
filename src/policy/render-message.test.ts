import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type MessageTemplate, parseTemplate, type TemplateValues } from "./message-template.ts";
import { MAX_SHOWN_VALUE, renderMessage, renderPreview, showValue } from "./render-message.ts";

function template(text: string): MessageTemplate {
  const parsed = parseTemplate(text);
  assert.ok(parsed.ok, text);
  return parsed.template;
}

const values: TemplateValues = {
  path: new Map([["domain", "a.example"]]),
  query: new Map([
    ["type", ["A"]],
    ["twice", ["A", "NS"]],
    ["filter.name", ["x"]],
  ]),
  body: { amount: 5, who: { name: "Ann" }, list: ["x", "y"], none: null },
  arguments: undefined,
  preview: undefined,
};

test("values of path, query, body and preview stand in their places", () => {
  const text =
    "Delete {preview.total} {query.type} on {path.domain} for {body.who.name} {body.list.1} {query.filter.name}";
  assert.deepEqual(renderMessage(template(text), { ...values, preview: { total: 3 } }), {
    ok: true,
    text: "Delete 3 A on a.example for Ann y x",
  });
  assert.deepEqual(renderMessage(template("{preview.total} of {preview.a.b}"), values), {
    ok: true,
    text: "(unknown) of (unknown)",
  });
});

test("what the request lacks, or has twice, is named", () => {
  for (const missing of [
    "path.other",
    "query.absent",
    "query.twice",
    "body.absent",
    "body.who.constructor",
    "body.amount.x",
  ]) {
    assert.deepEqual(renderMessage(template(`Do {${missing}}`), values), { ok: false, missing });
  }
});

test("a template that names nothing is a fault", () => {
  for (const text of [
    "{",
    "}",
    "{}",
    "{path}",
    "{path.}",
    "{path.a.b}",
    "{header.x}",
    "{{path.a}}",
    "{path.a",
    "x".repeat(3_000),
  ]) {
    assert.equal(parseTemplate(text).ok, false, text);
  }
});

test("no value can hide, turn round or break the text it stands in", () => {
  const hostile = [
    "\u202e",
    "\u200b",
    "\n",
    "\r",
    "\u0000",
    "\u2028",
    "\u2066",
    "\ufeff",
    "\u00ad",
    "\u3164",
    "\ud800",
    "\u{e0041}",
    "\u00a0",
    "\ufe0f",
  ];
  for (const character of hostile) {
    const shown = showValue(`a${character}b`);
    assert.match(shown, /^a\\u\{[0-9a-f]+\}b$/, JSON.stringify(character));
  }
  assert.equal(showValue("Ärger in 東京 für 5 €"), "Ärger in 東京 für 5 €");
});

test("what is shown is unambiguous and short", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 30 }), fc.string({ unit: "binary", maxLength: 30 }), (a, b) => {
      if (a !== b) assert.notEqual(showValue(a), showValue(b));
    }),
    { numRuns: 300 },
  );
  assert.ok(showValue("x".repeat(1_000_000)).length < MAX_SHOWN_VALUE + 40);
});

test("a value stays in its segment or query value of the preview", () => {
  const preview = template("GET /domains/{path.domain}/records?type={query.type}&x={body.who.name}");
  assert.deepEqual(renderPreview(preview, values), { ok: true, target: "/domains/a.example/records?type=A&x=Ann" });
  const hostile = { ...values, query: new Map([["type", ["A&type=NS#/.."]]]) };
  assert.deepEqual(renderPreview(template("GET /d?type={query.type}"), hostile), {
    ok: true,
    target: "/d?type=A%26type%3DNS%23%2F..",
  });
  for (const domain of ["..", ".", "", "a/b", "a\\b", " ", "\ud800"]) {
    const path = new Map([["domain", domain]]);
    assert.deepEqual(renderPreview(template("GET /d/{path.domain}/x"), { ...values, path }), {
      ok: false,
      missing: "path.domain",
    });
  }
  assert.equal(renderPreview(template("GET /d/{body.who}"), values).ok, false);
  assert.equal(renderPreview(template("GET /d/{body.none}"), values).ok, false);
});
