import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { JsonValue } from "../base/json.ts";
import { changedParts, diffDefinitions } from "./surface-diff.ts";
import { canonicalJson } from "./surface-digest.ts";
import { hidesText } from "./surface-hidden.ts";

const diff = (before: JsonValue | undefined, after: JsonValue) =>
  diffDefinitions(before === undefined ? undefined : canonicalJson(before), canonicalJson(after));
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);

describe("diffDefinitions", () => {
  test("names the path of each value that differs, and leaves out what is equal", () => {
    const before = {
      name: "a",
      description: "old",
      inputSchema: { required: ["x"], properties: { x: { type: "string" } } },
    };
    const after = {
      ...before,
      description: "new",
      inputSchema: { required: ["x", "y"], properties: { x: { type: "number" } } },
    };
    assert.deepEqual(diff(before, after), [
      '- description: "old"',
      '+ description: "new"',
      '- inputSchema.properties.x.type: "string"',
      '+ inputSchema.properties.x.type: "number"',
      '+ inputSchema.required[1]: "y"',
    ]);
    assert.deepEqual(changedParts(canonicalJson(before), canonicalJson(after)), ["description", "inputSchema"]);
  });
  test("shows all of a new item", () => {
    assert.deepEqual(diff(undefined, { name: "a", tags: [] }), ['+ name: "a"', "+ tags: []"]);
  });
  test("makes hidden characters visible, in texts and in keys", () => {
    assert.deepEqual(diff("safe", "safe\u200b\u{e0041}"), ['- "safe"', '+ "safe\\u{200b}\\u{e0041}"']);
    assert.deepEqual(diff(undefined, { "k\u202e": 1 }), ['+ "k\\u{202e}": 1']);
  });
  test("shows the changed middle of a long text, never a cut one", () => {
    const lines = diff(
      `${"a".repeat(5_000)} be kind ${"b".repeat(5_000)}`,
      `${"a".repeat(5_000)} be evil ${"b".repeat(5_000)}`,
    );
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? "", /^\+ …"a{30,} be evil b{30,}"…$/);
    assert.ok((lines[1] ?? "").length < 200);
  });
  test("says so when a definition was too long to keep", () => {
    assert.equal(diffDefinitions("", '"x"').length, 1);
    assert.equal(diffDefinitions('"x"', "").length, 1);
  });

  test("law: there is a line exactly when two definitions differ, and no line hides anything", () => {
    fc.assert(
      fc.property(json, json, (before, after) => {
        const lines = diff(before, after);
        assert.equal(lines.length === 0, canonicalJson(before) === canonicalJson(after));
        for (const line of lines) assert.ok(!hidesText(line), line);
      }),
      { numRuns: 300 },
    );
  });
});
