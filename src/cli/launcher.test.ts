import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { homePaths } from "../../bin/home-paths.js";
import { findHome } from "../config/home.ts";

const BIN = fileURLToPath(new URL("../../bin/", import.meta.url));
/** Makes Node say that it is an older one. */
const OLD = `--import=data:text/javascript,${encodeURIComponent(
  "Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.19.0'}})",
)}`;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorward-launcher-"));
  await mkdir(join(folder, "bin"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  for (const file of ["doorward.js", "connect.js", "home-paths.js"]) {
    await copyFile(join(BIN, file), join(folder, "bin", file));
  }
});
after(() => rm(folder, { recursive: true, force: true }));

function launch(words: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, words, { cwd: folder }, (error, stdout, stderr) =>
      resolve({ status: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
    );
  });
}

test("a Node that is too old, with no pinned one beside it, is told what to install", async () => {
  const { status, stderr } = await launch([OLD, "bin/doorward.js", "status"]);
  assert.equal(status, 1);
  assert.match(stderr, /^doorward: Node 18\.19\.0 is too old; install Node 24\.7 or newer, or run `npm ci`/);
  assert.equal(stderr.trim().split("\n").length, 1, "no stack");
});

test("the pinned Node takes over, with the words and the status", async () => {
  const pinned = join(folder, "node_modules/node/bin");
  await mkdir(pinned, { recursive: true });
  await writeFile(join(pinned, "node"), '#!/bin/sh\nshift\necho "pinned: $*"\nexit 4\n');
  await chmod(join(pinned, "node"), 0o755);
  const { status, stdout } = await launch([OLD, "bin/doorward.js", "audit", "verify"]);
  assert.deepEqual([status, stdout], [4, "pinned: audit verify\n"]);
  await rm(join(folder, "node_modules"), { recursive: true });
});

test("`connect` says what it needs, with status 2", async () => {
  for (const words of [[], ["--agent"], ["--agent", "../x"], ["--agent", "a", "--port", "1"], ["a"]]) {
    const { status, stderr } = await launch(["bin/doorward.js", "connect", ...words]);
    assert.deepEqual([status, stderr], [2, "usage: doorward connect --agent NAME [--home DIR]\n"]);
  }
  const { status, stderr } = await launch(["bin/doorward.js", "connect", "--agent=bot", `--home=${folder}`]);
  assert.equal(status, 2);
  assert.match(stderr, /there is no key for the agent `bot` .*run `doorward agent key bot`/);
});

test("law: the relay finds the socket and the keys where the daemon puts them", async () => {
  const part = fc.stringMatching(/^[a-zäß.][a-z0-9ä_.-]{0,60}$/);
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
  await fc.assert(
    fc.asyncProperty(
      fc.record({ home: fc.option(path, { nil: undefined }) }),
      fc.record({ home: fc.option(path, { nil: undefined }), userHome: path }),
      fc.record({ temporary: path, uid: fc.option(fc.nat(70_000), { nil: undefined }) }),
      async (flags, environment, places) => {
        const { home, agents, socket } = findHome(flags, { ...environment, config: undefined }, places);
        assert.deepEqual(await homePaths(flags, environment, places), { home, agents, socket });
      },
    ),
    { numRuns: 300 },
  );
});
