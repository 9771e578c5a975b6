import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { createHome } from "./create-home.ts";

const refused = (words: RegExp, remedy: RegExp) => (error: unknown) =>
  error instanceof Problem && words.test(error.message) && remedy.test(error.remedy);

describe("createHome", () => {
  const folder = mkdtempSync(join(tmpdir(), "doorward-home-"));
  const uid = process.geteuid?.();
  test.after(() => rmSync(folder, { recursive: true, force: true }));

  test("makes it for this user alone, and finds it again", () => {
    const home = join(folder, "a", "b");
    assert.deepEqual(createHome(home, { uid }), { path: home, made: true });
    assert.equal(statSync(home).mode & 0o777, 0o700);
    assert.deepEqual(createHome(home, { uid }), { path: home, made: false });
  });

  test("refuses one that is open to others, in any way", () => {
    const home = join(folder, "open");
    createHome(home, { uid });
    for (const mode of [0o710, 0o701, 0o750, 0o720, 0o777]) {
      chmodSync(home, mode);
      assert.throws(() => createHome(home, { uid }), refused(/open to other users/, /chmod 700/), mode.toString(8));
    }
  });

  test("refuses another user's and what is no folder", () => {
    const home = join(folder, "theirs");
    createHome(home, { uid });
    assert.throws(() => createHome(home, { uid: (uid ?? 0) + 1 }), refused(/another user/, /--home/));
    writeFileSync(join(folder, "file"), "");
    assert.throws(() => createHome(join(folder, "file"), { uid }), refused(/not a folder/, /--home/));
    assert.throws(() => createHome(join(folder, "file", "x"), { uid }), refused(/cannot be made/, /--home/));
  });
});
