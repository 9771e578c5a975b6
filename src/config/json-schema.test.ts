import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { EXAMPLE, oneService } from "./example.testing.ts";
import { configJsonSchema } from "./json-schema.ts";
import { parseConfig } from "./parse-config.ts";
import { generatedFiles } from "./print-reference.ts";

for (const [path, text] of generatedFiles()) {
  test(`${path} is fresh: run \`node src/config/print-reference.ts\` when it is not`, () => {
    assert.equal(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8"), text);
  });
}

test("the JSON Schema takes what the parser takes, and finds faults of shape", () => {
  const validate = new Ajv({ allowUnionTypes: true }).compile(configJsonSchema());
  assert.equal(validate(parse(EXAMPLE)), true, JSON.stringify(validate.errors));
  for (const text of [
    "version: 2",
    "version: 1\nagnets: {}",
    "version: 1\nroles: { My_Role: {} }",
    "version: 1\nsecrets: {}",
    oneService("url: https://a.example", "operations: { o: { effect: raed, allow: [GET /] } }"),
  ]) {
    assert.equal(validate(parse(text)), false, text);
    assert.equal(parseConfig(text).ok, false, text);
  }
});

test("every key of the reference says what it is", () => {
  const rows = (generatedFiles().get("docs/reference/config.md") ?? "")
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  assert.ok(rows.length > 60);
  for (const row of rows) assert.match(row, /\| [A-Z][^|]+ \|$/, row);
});
