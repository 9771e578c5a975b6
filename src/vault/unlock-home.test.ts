import assert from "node:assert/strict";
import { copyFileSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { openStore } from "../store/open-store.ts";
import { kekSources, openHome, temporaryFolder } from "./home.testing.ts";
import { createSettingsStore } from "./settings-store.ts";
import { unlockHome } from "./unlock-home.ts";

const refused = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof Problem && error.code === code && words.test(error.message) && error.remedy !== "";

/** Sets a home up and gives back a key of it, to compare. */
async function keyOf(home: string): Promise<string> {
  await using open = await openHome(home);
  return open.unlocked.keyring.deriveKey("test").toString("hex");
}

const unlockWith = async (home: string, environment: (name: string) => string | undefined) => {
  await using store = openStore({ path: join(home, "state.db") });
  return await unlockHome({ home, settings: createSettingsStore(store.db), kek: kekSources(home, { environment }) });
};

describe("unlockHome", () => {
  test("sets a new home up, then opens the same one", async () => {
    using folder = temporaryFolder();
    const key = await keyOf(folder.path);
    assert.equal(await keyOf(folder.path), key);
    assert.equal(statSync(join(folder.path, "vault.json")).mode & 0o777, 0o600);
    await using again = await openHome(folder.path, { kind: "keychain" });
    assert.deepEqual([again.unlocked.made, again.unlocked.protection.kind], [false, "env"]);
  });

  test("a wrong key is told apart from a damaged file", async () => {
    using folder = temporaryFolder();
    await keyOf(folder.path);
    await assert.rejects(
      unlockWith(folder.path, () => "22".repeat(32)),
      refused("secret_unavailable", /does not open this vault/),
    );
    const path = join(folder.path, "vault.json");
    const file = JSON.parse(readFileSync(path, "utf8"));
    const wrapped = Buffer.from(file.wrapped_home_key, "base64");
    wrapped[20] = (wrapped[20] ?? 0) ^ 1;
    writeFileSync(path, JSON.stringify({ ...file, wrapped_home_key: wrapped.toString("base64") }));
    await assert.rejects(keyOf(folder.path), refused("secret_unavailable", /damaged/));
    for (const text of [
      "",
      "{",
      "null",
      JSON.stringify({ ...file, version: 2 }),
      JSON.stringify({ ...file, extra: 1 }),
    ]) {
      writeFileSync(path, text);
      await assert.rejects(keyOf(folder.path), refused("secret_unavailable", /damaged/), text);
    }
  });

  test("a state that is missing or another home's is refused, not made anew", async () => {
    using folder = temporaryFolder();
    using other = temporaryFolder();
    await keyOf(folder.path);
    await keyOf(other.path);
    rmSync(join(folder.path, "state.db"));
    await assert.rejects(keyOf(folder.path), refused("store_unavailable", /state\.db` is missing/));
    copyFileSync(join(other.path, "state.db"), join(folder.path, "state.db"));
    await assert.rejects(keyOf(folder.path), refused("store_unavailable", /another home/));
  });

  test("a missing vault file is refused, not made anew", async () => {
    using folder = temporaryFolder();
    await keyOf(folder.path);
    rmSync(join(folder.path, "vault.json"));
    await assert.rejects(keyOf(folder.path), refused("store_unavailable", /vault\.json` is missing/));
  });

  test("a set-up that was interrupted between file and state, or after both, is completed", async () => {
    using folder = temporaryFolder();
    const key = await keyOf(folder.path);
    const path = join(folder.path, "vault.json");
    const file = JSON.parse(readFileSync(path, "utf8"));
    const interrupted = () => writeFileSync(path, JSON.stringify({ ...file, state: "new" }));
    interrupted();
    assert.equal(await keyOf(folder.path), key);
    interrupted();
    rmSync(join(folder.path, "state.db"));
    assert.equal(await keyOf(folder.path), key);
    assert.equal(JSON.parse(readFileSync(path, "utf8")).state, "ready");
  });
});
