import assert from "node:assert/strict";
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { tempFolder } from "../identity/temp-store.testing.ts";
import { findProgram } from "./program-files.ts";

/** A folder with these files; those that begin with `#!` can be run. */
function stage(context: TestContext, files: Readonly<Record<string, string>>) {
  const root = realpathSync(tempFolder(context));
  for (const [path, text] of Object.entries(files)) {
    const whole = join(root, path);
    mkdirSync(dirname(whole), { recursive: true });
    writeFileSync(whole, text);
    if (text.startsWith("#!")) chmodSync(whole, 0o755);
  }
  const node = join(root, "runtime/node");
  mkdirSync(dirname(node), { recursive: true });
  writeFileSync(node, "#!");
  const find = (command: string, args: readonly string[] = [], cwd: string | undefined = root) =>
    findProgram(
      { command, args, cwd },
      { node, searchPath: join(root, "bin"), closed: [join(root, "home"), join(root, "doorward")] },
    );
  return { root, node, find };
}

const PROJECT = {
  "project/package.json": "{}",
  "project/src/server.js": "",
  "project/node_modules/dep/index.js": "",
  "project/node_modules/tool/package.json": "{}",
  "project/node_modules/tool/cli.js": "#!/usr/bin/env node\n",
};

describe("findProgram", () => {
  test("a script of a project sees its package, and `node` is Doorward's", (context) => {
    const { root, node, find } = stage(context, PROJECT);
    assert.deepEqual(find("node", ["--no-warnings", "project/src/server.js", "x"]), {
      command: node,
      args: ["--no-warnings", join(root, "project/src/server.js"), "x"],
      programFiles: [node, join(root, "project")],
    });
  });
  test("a program of a package sees the node_modules that it lies in, also by its link", (context) => {
    const { root, node, find } = stage(context, PROJECT);
    mkdirSync(join(root, "bin"));
    symlinkSync(join(root, "project/node_modules/tool/cli.js"), join(root, "bin/tool"));
    for (const command of ["tool", join(root, "bin/tool"), "bin/tool"]) {
      assert.deepEqual(find(command, ["a"]), {
        command: node,
        args: [join(root, "project/node_modules/tool/cli.js"), "a"],
        programFiles: [node, join(root, "project/node_modules")],
      });
    }
  });
  test("no folder is opened that holds a home, even if it has a package.json", (context) => {
    const { root, node, find } = stage(context, {
      "package.json": "{}",
      "server.js": "",
      "home/package.json": "{}",
      "home/s.js": "",
    });
    for (const script of ["server.js", "home/s.js"]) {
      const found = find("node", [script]);
      assert.deepEqual("programFiles" in found && found.programFiles, [node, join(root, script)]);
    }
  });
  test("a Python environment is entered by the path that is called", (context) => {
    const { root, find } = stage(context, {
      "venv/pyvenv.cfg": "",
      "base/bin/python3": "#!",
      "venv/bin/server": "",
    });
    symlinkSync(join(root, "base/bin/python3"), join(root, "venv/bin/python"));
    writeFileSync(join(root, "venv/bin/server"), `#!${join(root, "venv/bin/python")}\n`);
    chmodSync(join(root, "venv/bin/server"), 0o755);
    assert.deepEqual(find("venv/bin/server"), {
      command: join(root, "venv/bin/server"),
      args: [],
      programFiles: [join(root, "venv"), join(root, "base")],
    });
  });
  test("programs of the system add nothing", (context) => {
    const { find } = stage(context, {});
    const found = find("/bin/sh", ["-c", "true"]);
    assert.deepEqual("programFiles" in found && found.programFiles, []);
  });
  test("what is not there, cannot be run, or fetches what it runs is refused with a remedy", (context) => {
    const { find } = stage(context, { "bin/text": "no program" });
    for (const command of ["nope", "./nope", "text", "uvx", "docker"]) assert.ok("fault" in find(command), command);
  });
});
