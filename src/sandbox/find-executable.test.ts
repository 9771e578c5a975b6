import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { type TestContext, test } from "node:test";
import { findExecutable } from "./find-executable.ts";

/** Folders `one` and `two` with a program each; `one` has a file and a folder that only look like programs. */
function stage(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "executable-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [folder, name, mode] of [
    ["one", "first", 0o755],
    ["one", "data", 0o644],
    ["two", "data", 0o755],
    ["two", "tool", 0o755],
  ] as const) {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, name), "");
    chmodSync(join(root, folder, name), mode);
  }
  mkdirSync(join(root, "one", "tool"));
  return { root, searchPath: ["one", "two"].map((folder) => join(root, folder)).join(delimiter) };
}

test("a name is looked for in the search path: files that can be executed, the first of them", (t) => {
  const { root, searchPath } = stage(t);
  const find = (command: string) => findExecutable(command, { cwd: root, searchPath });
  assert.equal(find("first"), join(root, "one/first"));
  assert.equal(find("data"), join(root, "two/data"));
  assert.equal(find("tool"), join(root, "two/tool"));
  assert.equal(find("missing"), undefined);
});

test("a path begins where the command is run, and the search path does not matter", (t) => {
  const { root } = stage(t);
  assert.equal(findExecutable("one/first", { cwd: root, searchPath: "" }), join(root, "one/first"));
  assert.equal(findExecutable("./data", { cwd: join(root, "one"), searchPath: "" }), undefined);
  assert.equal(findExecutable(join(root, "two/tool"), { cwd: "/", searchPath: "" }), join(root, "two/tool"));
});

test("a relative folder of the search path is passed over", (t) => {
  const { root } = stage(t);
  const searchPath = ["", ".", relative(process.cwd(), join(root, "one"))].join(delimiter);
  assert.equal(findExecutable("first", { cwd: join(root, "one"), searchPath }), undefined);
});
