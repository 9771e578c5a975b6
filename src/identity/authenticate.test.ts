import assert from "node:assert/strict";
import { test } from "node:test";
import { makeApiKey } from "./api-key.ts";
import { ApiKeys } from "./api-keys.ts";
import { type AgentFacts, type AuthenticationFault, createAuthenticator } from "./authenticate.ts";
import { recordingAudit } from "./recording-audit.testing.ts";

const NOW = new Date("2026-03-01T10:00:00Z");
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);
const NO_STORE = {
  load: async () => [],
  insert: async () => {},
  revoke: async () => {},
  shorten: async () => {},
  touch: async () => {},
  prune: async () => {},
};

async function setUp() {
  const keys = await ApiKeys.load({ store: NO_STORE, audit: recordingAudit().log }, NOW);
  const agents = new Map<string, AgentFacts>([
    ["dns-bot", { tenant: "acme", environment: "production" }],
    ["plain-bot", {}],
  ]);
  const authenticate = createAuthenticator({ keys, agentOf: (name) => agents.get(name) });
  const issue = async (agent: string, environment: string, ttlSeconds = 60) =>
    await keys.issue({ agent, environment, ttlSeconds, by: "owner", now: NOW });
  const ask = (token: string | undefined, now = NOW) =>
    authenticate({ token, ip: "127.0.0.1", purpose: "dns", task: "t-1", now });
  return { keys, agents, issue, ask };
}

test("a key proves its agent, with tenant and environment from the file in force", async () => {
  const { issue, ask, keys } = await setUp();
  const issued = await issue("dns-bot", "production");
  assert.deepEqual(ask(issued.key), {
    ok: true,
    principal: {
      agent: "dns-bot",
      client: issued.keyId,
      user: undefined,
      tenant: "acme",
      environment: "production",
      purpose: "dns",
      task: "t-1",
      ip: "127.0.0.1",
      token: { kind: "api_key", id: issued.keyId, expiresAt: issued.expiresAt },
    },
  });
  assert.deepEqual(keys.list()[0]?.lastUsedAt, NOW);
});

test("an agent without an environment has keys of the environment `default`", async () => {
  const { issue, ask } = await setUp();
  assert.equal(ask((await issue("plain-bot", "default")).key).ok, true);
});

test("each way of not being let in has its reason", async () => {
  const { keys, agents, issue, ask } = await setUp();
  const good = await issue("dns-bot", "production");
  const refused = (token: string | undefined, reason: AuthenticationFault, now = NOW) => {
    const answer = ask(token, now);
    assert.equal(answer.ok ? "let in" : answer.reason, reason);
  };
  refused(undefined, "missing");
  refused("", "missing");
  refused("sk_live_123", "malformed");
  refused(good.key.slice(0, -1), "mistyped");
  refused(makeApiKey("production").key, "unknown");
  assert.equal(ask(good.key, later(59)).ok, true);
  refused(good.key, "expired", later(60));
  refused((await issue("dns-bot", "staging")).key, "environment_mismatch");
  refused((await issue("plain-bot", "production")).key, "environment_mismatch");
  refused((await issue("ghost", "default")).key, "unknown_agent");
  agents.delete("dns-bot");
  refused(good.key, "unknown_agent");
  agents.set("dns-bot", { environment: "staging" });
  refused(good.key, "environment_mismatch");
  await keys.revoke({ target: "dns-bot", by: "owner", now: NOW });
  refused(good.key, "revoked");
});

test("a refusal names agent and key only when the key was a real one, and counts as no use", async () => {
  const { keys, issue, ask } = await setUp();
  const { key, keyId } = await issue("ghost", "default");
  assert.deepEqual(ask(key), { ok: false, reason: "unknown_agent", agent: "ghost", keyId });
  assert.deepEqual(ask(makeApiKey("default").key), {
    ok: false,
    reason: "unknown",
    agent: undefined,
    keyId: undefined,
  });
  assert.equal(keys.list()[0]?.lastUsedAt, undefined);
});
