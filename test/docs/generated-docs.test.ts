import assert from "node:assert/strict";
import { test } from "node:test";
import { generatedDocs } from "./generated-docs.ts";
import { readPage } from "./markdown.testing.ts";

for (const [path, text] of generatedDocs()) {
  test(`${path} is fresh: run \`node test/docs/generated-docs.ts\` when it is not`, () => {
    assert.equal(readPage(path).text, text);
  });
}

test("every refusal says what to do", () => {
  const rows = readPage("docs/reference/errors.md").text.match(/^\| `.*$/gm) ?? [];
  const empty = rows.filter((row) => row.split(" | ").some((cell) => cell.trim() === ""));
  assert.ok(rows.length > 20);
  assert.deepEqual(empty, []);
});
