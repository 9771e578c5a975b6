import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { basic, stageOAuth } from "./oauth.testing.ts";

const GRANT = { grant_type: "client_credentials" };

test("a client of an agent gets a token and is that agent", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const { status, body, headers } = await stage.post("/oauth/token", GRANT, basic(client.id, secret));
  assert.equal(status, 200, JSON.stringify([body, stage.faults]));
  assert.match(body.access_token, /^dwt_[\w-]{43}$/);
  assert.equal(body.expires_in, 600);
  assert.equal(headers.get("cache-control"), "no-store");
  const { status: called, body: principal } = await stage.call(body.access_token);
  assert.equal(called, 200, JSON.stringify(principal));
  assert.equal(principal.agent, "dns-bot");
  assert.equal(principal.client, client.id);
  assert.equal(principal.tenant, "acme");
  assert.equal(principal.scopes, undefined, "none asked means all that the agent has");
  assert.deepEqual(stage.audit.types(), ["token.issued", "token.issued"]);
});

test("a token is for one resource, and no other", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const tokenFor = async (resource: string) => {
    const form = { ...GRANT, resource: stage.address + resource };
    return (await stage.post("/oauth/token", form, basic(client.id, secret))).body;
  };
  for (const resource of ["/mcp", "/mcp/github", "/api"]) {
    const { access_token } = await tokenFor(resource);
    for (const path of ["/mcp", "/mcp/github", "/mcp/gitlab", "/api/dns/zones"]) {
      const { status, body } = await stage.call(access_token, path);
      const fits = resource === (path.startsWith("/api/") ? "/api" : path);
      assert.equal(status, fits ? 200 : 401, `${resource} at ${path}`);
      if (!fits) assert.equal(body.reason, "wrong_audience");
    }
  }
  for (const foreign of ["/", "/mcp/", "/mcp/../api", "/mcp/A", "/mcp?x", "/mcp#x", "/admin", "@evil.example/mcp"]) {
    assert.equal((await tokenFor(foreign)).error, "invalid_target", foreign);
  }
});

test("a token has the scopes that were asked, and what is no scope is refused", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const scopesOf = async (scope: string) => {
    const { status, body } = await stage.post("/oauth/token", { ...GRANT, scope }, basic(client.id, secret));
    if (status !== 200) return body.error;
    return (await stage.call(body.access_token)).body.scopes;
  };
  assert.deepEqual(await scopesOf("registrar:domains:read"), ["registrar:domains:read"]);
  assert.deepEqual(await scopesOf("registrar:domains:read openid profile dns:*"), ["registrar:domains:read", "dns:*"]);
  assert.equal(await scopesOf("openid offline_access"), undefined);
  assert.deepEqual(await scopesOf("nobody:knows:it"), ["nobody:knows:it"], "narrow, not wide, and no hint");
  assert.equal(await scopesOf("Registrar"), "invalid_scope");
  assert.equal(await scopesOf('a:b"'), "invalid_scope");
});

test("a wrong secret, a wrong client and a revoked one hear the same, and are told apart in the evidence", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const gone = await stage.issue();
  await stage.server.clients.revoke({ target: gone.client.id, by: "owner", now: new Date() });
  const answers = [
    await stage.post("/oauth/token", GRANT, basic(client.id, `${secret}x`)),
    await stage.post("/oauth/token", GRANT, basic("client_nobody", secret)),
    await stage.post("/oauth/token", GRANT, basic(gone.client.id, gone.secret ?? "")),
    // The hash is what lies in the store: who reads it has nothing.
    await stage.post("/oauth/token", GRANT, basic(client.id, String(client.metadata["client_secret"]))),
  ];
  for (const { status, body } of answers) {
    assert.equal(status, 401);
    assert.deepEqual(body, answers[0]?.body);
  }
  const refusals = stage.audit.events.filter(({ type }) => type === "token.refused");
  assert.equal(refusals.length, 4);
  assert.notEqual(refusals[0]?.data?.["reason"], refusals[1]?.data?.["reason"]);
});

test("a revoked token, client or agent is refused at its next call", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const now = new Date();
  const fresh = async () =>
    (await stage.post("/oauth/token", GRANT, basic(client.id, secret))).body.access_token as string;
  const [first, second, third] = [await fresh(), await fresh(), await fresh()];
  const revoked = await stage.post("/oauth/revoke", { token: first }, basic(client.id, secret));
  assert.equal(revoked.status, 200);
  assert.equal((await stage.call(first)).body.reason, "revoked");
  assert.equal((await stage.call(second)).status, 200);

  const listed = await stage.server.tokens.list(now);
  const id = (await stage.call(second)).body.token.id;
  assert.ok(listed.some((token) => token.id === id && token.agent === "dns-bot"));
  assert.deepEqual(await stage.server.tokens.revoke({ target: id, by: "owner", now }), [{ id, client: client.id }]);
  assert.equal((await stage.call(second)).body.reason, "revoked");

  await stage.server.tokens.revoke({ target: "dns-bot", by: "owner", now });
  assert.equal((await stage.call(third)).body.reason, "revoked_client");
  assert.equal((await stage.post("/oauth/token", GRANT, basic(client.id, secret))).status, 401);
  await stage.restart();
  for (const token of [first, second, third]) assert.equal((await stage.call(token)).status, 401);
});

test("a token ends when it says so, and with its agent", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const { access_token } = (await stage.post("/oauth/token", GRANT, basic(client.id, secret))).body;
  stage.agents.delete("dns-bot");
  assert.equal((await stage.call(access_token)).body.reason, "unknown_agent");
  stage.agents.set("dns-bot", {});
  assert.equal((await stage.call(access_token)).status, 200);
  stage.state.skewMs = 599_000;
  assert.equal((await stage.call(access_token)).status, 200);
  stage.state.skewMs = 601_000;
  assert.equal((await stage.call(access_token)).body.reason, "expired");
});

test("tokens ended by a kill are told so while it is in force, and stay ended", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const other = await stage.issue("other-bot");
  const { access_token } = (await stage.post("/oauth/token", GRANT, basic(client.id, secret))).body;
  const kept = (await stage.post("/oauth/token", GRANT, basic(other.client.id, other.secret ?? ""))).body.access_token;
  const killAgent = (name: string) =>
    stage.server.tokens.revokeKilled?.({ covers: ({ agent }) => agent === name, by: "owner", now: new Date() });
  stage.killed.add("dns-bot");
  assert.equal(await killAgent("dns-bot"), 1);
  assert.equal((await stage.call(access_token)).body.kill.target, "agent:dns-bot");
  stage.killed.delete("dns-bot");
  const after = await stage.call(access_token);
  assert.deepEqual([after.body.reason, after.body.kill], ["revoked", undefined]);
  assert.equal((await stage.call(kept)).status, 200);
  await stage.restart();
  assert.equal((await stage.call(access_token)).body.reason, "revoked");
});

test("a token survives a restart, and its value is nowhere on disk", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const { access_token } = (await stage.post("/oauth/token", GRANT, basic(client.id, secret))).body;
  await stage.restart();
  assert.equal((await stage.call(access_token)).body.agent, "dns-bot");
  const file = readFileSync(stage.store.path);
  for (const value of [access_token, secret]) assert.equal(file.includes(value), false);
  assert.equal(JSON.stringify(stage.audit.events).includes(access_token), false);
});

test("without evidence there is no token", async (context) => {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  stage.audit.fail(({ type }) => type === "token.issued");
  const { status, body } = await stage.post("/oauth/token", GRANT, basic(client.id, secret));
  assert.equal(status, 503);
  assert.equal(body.access_token, undefined);
  assert.deepEqual(await stage.server.tokens.list(new Date()), []);
});

test("introspection tells a client about its own tokens alone", async (context) => {
  const stage = await stageOAuth(context);
  const [one, two] = [await stage.issue(), await stage.issue("other-bot")];
  const form = { ...GRANT, scope: "dns:zones" };
  const { access_token } = (await stage.post("/oauth/token", form, basic(one.client.id, one.secret ?? ""))).body;
  const look = (who: typeof one) =>
    stage.post("/oauth/introspect", { token: access_token }, basic(who.client.id, who.secret ?? ""));
  const { body } = await look(one);
  assert.equal(body.active, true);
  assert.equal(body.scope, "dns:zones");
  assert.equal(body.aud, `${stage.address}/mcp`);
  assert.deepEqual((await look(two)).body, { active: false });
  assert.equal((await stage.post("/oauth/introspect", { token: access_token })).status, 400);
});
