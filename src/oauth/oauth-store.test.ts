import assert from "node:assert/strict";
import { test } from "node:test";
import { tempStore } from "../identity/temp-store.testing.ts";
import { createOAuthStore, type OAuthRecord } from "./oauth-store.ts";

const NOW = new Date("2026-03-01T10:00:00Z");
const RECORD: OAuthRecord = {
  model: "AuthorizationCode",
  id: "a".repeat(64),
  grantId: "g",
  lookup: undefined,
  sealed: Buffer.from("x"),
  expiresAt: new Date("2026-03-01T10:01:00Z"),
  consumedAt: undefined,
  revokedAt: undefined,
};

test("of a hundred parallel uses of one row one changes it, in the store itself", async (context) => {
  const store = createOAuthStore(tempStore(context).db);
  await store.put(RECORD);
  const consumed = await Promise.all(Array.from({ length: 100 }, () => store.consume(RECORD, NOW)));
  assert.equal(consumed.filter(Boolean).length, 1);
  const proof = { ...RECORD, model: "ReplayDetection" };
  const inserted = await Promise.all(Array.from({ length: 100 }, () => store.insert(proof)));
  assert.equal(inserted.filter(Boolean).length, 1);
});

test("writing a row again forgets neither that it was used nor that it was revoked", async (context) => {
  const store = createOAuthStore(tempStore(context).db);
  await store.put(RECORD);
  await store.consume(RECORD, NOW);
  await store.revoke([RECORD], NOW);
  await store.put({ ...RECORD, sealed: Buffer.from("y") });
  const found = await store.find(RECORD);
  assert.deepEqual([found?.consumedAt, found?.revokedAt, Buffer.from(found!.sealed).toString()], [NOW, NOW, "y"]);
  assert.equal(await store.consume(RECORD, NOW), false);
});

test("rows that ended long ago go, and those of a grant with it", async (context) => {
  const store = createOAuthStore(tempStore(context).db);
  await store.put(RECORD);
  await store.prune(NOW);
  assert.ok(await store.find(RECORD));
  await store.removeGrant("RefreshToken", "g");
  assert.ok(await store.find(RECORD), "of another model");
  await store.revokeGrant("AuthorizationCode", "g", NOW);
  assert.deepEqual((await store.find(RECORD))?.revokedAt, NOW);
  await store.prune(new Date("2026-03-01T10:02:00Z"));
  assert.equal(await store.find(RECORD), undefined);
});
