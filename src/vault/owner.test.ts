import assert from "node:assert/strict";
import { chmodSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { writeSetting } from "../store/settings.ts";
import { NOON, type OpenHome, openHome, temporaryFolder } from "./home.testing.ts";
import { createOwner } from "./owner.ts";
import { createSettingsStore } from "./settings-store.ts";

const ownerOf = (home: string, open: OpenHome) =>
  createOwner({ home, settings: createSettingsStore(open.store.db), keyring: open.unlocked.keyring });
const after = (seconds: number) => new Date(NOON.getTime() + seconds * 1000);

describe("createOwner", () => {
  test("level 0: a private key file, the same at each start, and no passphrase", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    const owner = await ownerOf(folder.path, open);
    const path = join(folder.path, "owner.key");
    const key = readFileSync(path, "utf8");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(owner.level(), 0);
    assert.ok(owner.checkOwnerKey(key.trim()) && owner.checkOwnerKey(key));
    for (const wrong of ["", key.trim().slice(1), `${key.trim()}x`]) assert.ok(!owner.checkOwnerKey(wrong));
    assert.deepEqual(await owner.checkPassphrase("anything", NOON), { ok: false, reason: "not_set" });
    assert.ok((await ownerOf(folder.path, open)).checkOwnerKey(key));
    chmodSync(path, 0o644);
    await assert.rejects(ownerOf(folder.path, open), Problem);
  });

  test("level 1: set once, kept over a start, changed only with the one in force", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    const owner = await ownerOf(folder.path, open);
    await assert.rejects(owner.setPassphrase({ next: "short" }, NOON), Problem);
    assert.equal(owner.level(), 0);
    assert.deepEqual(await owner.setPassphrase({ next: "five words are a start" }, NOON), { ok: true });
    assert.equal(owner.level(), 1);
    const later = await ownerOf(folder.path, open);
    assert.equal(later.level(), 1);
    assert.deepEqual(await later.checkPassphrase("five words are a start", NOON), { ok: true });
    assert.deepEqual(await later.setPassphrase({ next: "an agent's own choice" }, NOON), {
      ok: false,
      reason: "wrong",
    });
    assert.deepEqual(
      await later.setPassphrase({ next: "another five words now", current: "five words are a start" }, NOON),
      { ok: true },
    );
    assert.deepEqual(await later.checkPassphrase("five words are a start", NOON), { ok: false, reason: "wrong" });
  });

  test("guessing is slowed down, in parallel too, and the right one helps only when it is looked at", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    const owner = await ownerOf(folder.path, open);
    await owner.setPassphrase({ next: "five words are a start" }, NOON);
    const guesses = await Promise.all(Array.from({ length: 7 }, () => owner.checkPassphrase("wrong", NOON)));
    assert.deepEqual(
      guesses.map((guess) => (guess.ok ? "ok" : guess.reason)),
      [...Array<string>(5).fill("wrong"), "throttled", "throttled"],
    );
    const right = () => owner.checkPassphrase("five words are a start", NOON);
    assert.deepEqual(await right(), { ok: false, reason: "throttled", retryAfterSeconds: 1 });
    assert.deepEqual(await owner.checkPassphrase("wrong", after(1)), { ok: false, reason: "wrong" });
    assert.deepEqual(await owner.checkPassphrase("wrong", after(2)), {
      ok: false,
      reason: "throttled",
      retryAfterSeconds: 1,
    });
    assert.deepEqual(await owner.checkPassphrase("five words are a start", after(3)), { ok: true });
    assert.deepEqual(await owner.checkPassphrase("wrong", after(3)), { ok: false, reason: "wrong" });
  });

  test("an edited or removed record leads to level 1 with no way in, not back to level 0", async () => {
    using folder = temporaryFolder();
    await using open = await openHome(folder.path);
    await open.store.db.deleteFrom("settings").where("name", "=", "owner").execute();
    const removed = await ownerOf(folder.path, open);
    assert.deepEqual([removed.level(), removed.damaged()], [1, true]);
    assert.deepEqual(await removed.checkPassphrase("", NOON), { ok: false, reason: "wrong" });
    assert.deepEqual(await removed.setPassphrase({ next: "an agent's own choice" }, NOON), {
      ok: false,
      reason: "wrong",
    });
    await writeSetting(open.store.db, "owner", Buffer.from('{"level":0}'));
    const edited = await ownerOf(folder.path, open);
    assert.deepEqual([edited.level(), edited.damaged()], [1, true]);
  });
});
