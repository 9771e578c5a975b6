import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { createApiKeyStore } from "./api-key-store.ts";
import { ApiKeys, KEY_TTL_LIMIT_SECONDS } from "./api-keys.ts";
import { recordingAudit } from "./recording-audit.testing.ts";
import { tempStore } from "./temp-store.testing.ts";

const NOW = new Date("2026-03-01T10:00:00Z");
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);
const isProblem = (code: string) => (error: unknown) => error instanceof Problem && error.code === code;

async function setUp(context: TestContext) {
  const store = tempStore(context);
  const audit = recordingAudit();
  const load = async () => ApiKeys.load({ store: createApiKeyStore(store.db), audit: audit.log }, NOW);
  const keys = await load();
  const issue = (agent = "dns-bot", ttlSeconds?: number) =>
    keys.issue({ agent, environment: "default", ttlSeconds, by: "owner", now: NOW });
  return { store, audit, load, keys, issue };
}

test("an issued key is found, and is found again after a restart", async (context) => {
  const { store, load, keys, issue, audit } = await setUp(context);
  const issued = await issue();
  assert.equal(issued.expiresAt.getTime(), later(KEY_TTL_LIMIT_SECONDS).getTime());
  assert.equal(keys.find(issued.key)?.id, issued.keyId);
  await store.reopen();
  const found = (await load()).find(issued.key);
  assert.equal(found?.agent, "dns-bot");
  assert.deepEqual(found?.expiresAt, issued.expiresAt);
  assert.deepEqual(audit.types(), ["token.issued"]);
});

test("the key itself is neither in the state's files nor in the evidence", async (context) => {
  const { store, issue, audit } = await setUp(context);
  const { key } = await issue();
  const secret = key.slice(-40, -6);
  for (const file of readdirSync(store.folder)) {
    assert.equal(readFileSync(join(store.folder, file)).includes(secret), false, file);
  }
  await store.reopen();
  assert.equal(readFileSync(store.path).includes(secret), false);
  assert.equal(JSON.stringify(audit.events).includes(secret), false);
});

test("keys of one agent overlap, and are revoked one by one or together", async (context) => {
  const { keys, issue, load, store } = await setUp(context);
  const [first, second, foreign] = [await issue(), await issue(), await issue("other-bot")];
  assert.deepEqual(await keys.revoke({ target: first.keyId, by: "owner", now: NOW }), [first.keyId]);
  assert.notEqual(keys.find(first.key)?.revokedAt, undefined);
  assert.equal(keys.find(second.key)?.revokedAt, undefined);
  assert.deepEqual(await keys.revoke({ target: "dns-bot", by: "owner", now: NOW }), [second.keyId]);
  assert.deepEqual(await keys.revoke({ target: "dns-bot", by: "owner", now: NOW }), []);
  await store.reopen();
  const again = await load();
  for (const { key } of [first, second]) assert.deepEqual(again.find(key)?.revokedAt, NOW);
  assert.equal(again.find(foreign.key)?.revokedAt, undefined);
});

test("a key lives for 90 days at most", async (context) => {
  const { issue } = await setUp(context);
  for (const ttl of [KEY_TTL_LIMIT_SECONDS + 1, 0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    await assert.rejects(issue("dns-bot", ttl), isProblem("invalid_request"), String(ttl));
  }
  assert.equal((await issue("dns-bot", 60)).expiresAt.getTime(), later(60).getTime());
});

test("an agent has a limited number of live keys", async (context) => {
  const { issue, keys } = await setUp(context);
  for (let count = 0; count < 100; count++) await issue();
  await assert.rejects(issue(), isProblem("invalid_request"));
  await keys.revoke({ target: "dns-bot", by: "owner", now: NOW });
  await issue();
});

test("without evidence there is no key", async (context) => {
  const { audit, keys, issue, load, store } = await setUp(context);
  audit.fail(() => true);
  await assert.rejects(issue(), isProblem("audit_unavailable"));
  assert.deepEqual(keys.list(), []);
  await store.reopen();
  assert.deepEqual((await load()).list(), []);
});

test("a revocation holds at once even when it cannot be written, and a repetition writes it", async (context) => {
  const { keys, issue, load, store, audit } = await setUp(context);
  const { key, keyId } = await issue();
  await store.refuseWrites();
  await assert.rejects(keys.revoke({ target: keyId, by: "owner", now: NOW }), isProblem("store_unavailable"));
  assert.notEqual(keys.find(key)?.revokedAt, undefined);
  await store.reopen();
  assert.equal((await load()).find(key)?.revokedAt, undefined, "was not written");

  const second = await load();
  audit.fail(({ type }) => type === "token.revoked");
  await assert.rejects(second.revoke({ target: keyId, by: "owner", now: NOW }), isProblem("audit_unavailable"));
  audit.fail(undefined);
  assert.deepEqual(await second.revoke({ target: keyId, by: "owner", now: NOW }), [keyId]);
  assert.deepEqual((await load()).find(key)?.revokedAt, NOW);
  assert.deepEqual(audit.types(), ["token.issued", "token.revoked"]);
});

test("the last use is written down in one batch, and survives", async (context) => {
  const { keys, issue, load, store } = await setUp(context);
  const { key } = await issue();
  const found = keys.find(key);
  assert.ok(found);
  keys.used(found, later(5));
  keys.used(found, later(6));
  assert.equal((await load()).find(key)?.lastUsedAt, undefined);
  await keys[Symbol.asyncDispose]();
  await store.reopen();
  assert.deepEqual((await load()).find(key)?.lastUsedAt, later(6));
});

test("a use that cannot be written down disturbs nobody", async (context) => {
  const store = tempStore(context);
  const reported: string[] = [];
  const deps = {
    store: createApiKeyStore(store.db),
    audit: recordingAudit().log,
    report: (what: string) => reported.push(what),
  };
  const keys = await ApiKeys.load(deps, NOW);
  const { key } = await keys.issue({ agent: "a", environment: "default", by: "owner", now: NOW });
  const found = keys.find(key);
  assert.ok(found);
  keys.used(found, NOW);
  await store.refuseWrites();
  await keys.flush();
  assert.equal(reported.length, 1);
});

test("keys that ended long ago are forgotten", async (context) => {
  const { issue, store, audit } = await setUp(context);
  const { key } = await issue("dns-bot", 60);
  const day = 86_400;
  const loadAt = (now: Date) => ApiKeys.load({ store: createApiKeyStore(store.db), audit: audit.log }, now);
  assert.notEqual((await loadAt(later(80 * day))).find(key), undefined);
  assert.equal((await loadAt(later(91 * day))).find(key), undefined);
});

test("a text too long for a key is not hashed", async (context) => {
  const { keys } = await setUp(context);
  assert.equal(keys.find("dw_".padEnd(10_000_000, "a")), undefined);
});
