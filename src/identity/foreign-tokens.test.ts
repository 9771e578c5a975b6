import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createDeniedTokenStore } from "./denied-token-store.ts";
import { createForeignTokens } from "./foreign-tokens.ts";
import { recordingAudit } from "./recording-audit.testing.ts";
import { tempStore } from "./temp-store.testing.ts";

const NOW = new Date("2026-03-01T10:00:00Z");
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);
const CERTIFICATE = `cert_${"a".repeat(32)}`;
const WORKLOAD = `wlt_${"b".repeat(32)}`;

function setUp(context: TestContext) {
  const store = tempStore(context);
  const audit = recordingAudit();
  const load = (now = NOW) => createForeignTokens({ store: createDeniedTokenStore(store.db), audit: audit.log }, now);
  return { store, audit, load };
}

const seen = [
  { id: CERTIFICATE, kind: "certificate", agent: "bot", client: "mtls:CN=bot", expiresAt: later(3_600) },
  { id: WORKLOAD, kind: "workload", agent: "bot", client: "workload:ci#x", expiresAt: later(600) },
] as const;

test("a token that was seen is listed and can be taken back, also after a restart", async (context) => {
  const { audit, load } = setUp(context);
  const tokens = await load();
  for (const token of seen) tokens.seen(token, NOW);
  tokens.seen(seen[0], later(5));
  assert.equal(tokens.isDenied(CERTIFICATE), false);
  assert.deepEqual(await tokens.revoke({ target: CERTIFICATE, by: "owner", now: NOW }), [
    { id: CERTIFICATE, client: "mtls:CN=bot" },
  ]);
  assert.equal(tokens.isDenied(CERTIFICATE), true);
  assert.equal(tokens.isDenied(WORKLOAD), false);
  assert.deepEqual(await tokens.revoke({ target: CERTIFICATE, by: "owner", now: NOW }), []);
  assert.deepEqual(audit.types(), ["token.revoked"]);
  const listed = await tokens.list(NOW);
  assert.deepEqual(
    listed.map(({ id, revokedAt, lastUsedAt }) => [id, revokedAt, lastUsedAt]),
    [
      [CERTIFICATE, NOW, later(5)],
      [WORKLOAD, undefined, NOW],
    ],
  );
  assert.equal((await load()).isDenied(CERTIFICATE), true);
  assert.equal((await load(later(3_601))).isDenied(CERTIFICATE), false, "its issuer's word has ended");
});

test("one that was never seen can be taken back by its id; what has no such form is nobody's", async (context) => {
  const tokens = await setUp(context).load();
  assert.deepEqual(await tokens.revoke({ target: WORKLOAD, by: "owner", now: NOW }), [
    { id: WORKLOAD, client: WORKLOAD },
  ]);
  assert.equal(tokens.isDenied(WORKLOAD), true);
  for (const target of ["", "cert_", "cert_zz", `cert_${"a".repeat(31)}`, "key_1", "bot"])
    assert.deepEqual(await tokens.revoke({ target, by: "owner", now: NOW }), [], target);
});

test("an agent's name takes back all that it was seen with", async (context) => {
  const tokens = await setUp(context).load();
  for (const token of seen) tokens.seen(token, NOW);
  const revoked = await tokens.revoke({ target: "bot", by: "owner", now: NOW });
  assert.deepEqual(
    revoked.map(({ id }) => id),
    [CERTIFICATE, WORKLOAD],
  );
});

test("a kill takes back the short-lived ones that it covers, and no certificate", async (context) => {
  const tokens = await setUp(context).load();
  for (const token of seen) tokens.seen(token, NOW);
  const covers = ({ agent }: { agent: string }) => agent === "bot";
  assert.equal(await tokens.revokeKilled?.({ covers: () => false, by: "owner", now: NOW }), 0);
  assert.equal(await tokens.revokeKilled?.({ covers, by: "owner", now: NOW }), 1);
  assert.deepEqual([tokens.isDenied(WORKLOAD), tokens.isDenied(CERTIFICATE)], [true, false]);
});

test("taken back in memory when nothing can be written, and written by the next try", async (context) => {
  const { store, load } = setUp(context);
  const tokens = await load();
  tokens.seen(seen[0], NOW);
  await store.refuseWrites();
  await assert.rejects(tokens.revoke({ target: CERTIFICATE, by: "owner", now: NOW }));
  assert.equal(tokens.isDenied(CERTIFICATE), true);
  await store.reopen();
  assert.equal((await load()).isDenied(CERTIFICATE), false);
});
