import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileGlob } from "../policy/glob.ts";
import { dpopProof, signer } from "./jwt.testing.ts";
import { basic, stageOAuth } from "./oauth.testing.ts";
import { areWithin } from "./scopes.ts";

const TYPE = "urn:ietf:params:oauth:token-type:access_token";

async function setUp(context: Parameters<typeof stageOAuth>[0], scope = "dns:* mail:read") {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const parent = await stage.post(
    "/oauth/token",
    { grant_type: "client_credentials", scope },
    basic(client.id, secret),
  );
  const exchange = (token: string, more: Record<string, string> = {}, who = basic(client.id, secret)) =>
    stage.post(
      "/oauth/token",
      {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: token,
        subject_token_type: TYPE,
        ...more,
      },
      who,
    );
  return { stage, client, secret, parent: parent.body.access_token as string, exchange };
}

test("an agent makes a narrower token for a sub-agent", async (context) => {
  const { stage, parent, exchange } = await setUp(context);
  const { status, body } = await exchange(parent, { scope: "dns:zones" });
  assert.equal(status, 200, JSON.stringify([body, stage.faults]));
  assert.equal(body.issued_token_type, TYPE);
  const { body: child } = await stage.call(body.access_token);
  assert.deepEqual([child.agent, child.scopes], ["dns-bot", ["dns:zones"]]);
  const same = await exchange(parent);
  assert.deepEqual((await stage.call(same.body.access_token)).body.scopes, ["dns:*", "mail:read"]);
  const part = await exchange(parent, { resource: `${stage.address}/mcp/github` });
  assert.equal((await stage.call(part.body.access_token, "/mcp/github")).status, 200);
  assert.equal((await stage.call(part.body.access_token)).status, 401);
});

test("and never a wider or a longer one", async (context) => {
  const { stage, parent, exchange } = await setUp(context);
  for (const scope of ["*", "mail:*", "dns:* mail:write", "dn*", "m*:read", "other:x"]) {
    assert.equal((await exchange(parent, { scope })).body.error, "invalid_scope", scope);
  }
  const child = (await exchange(parent, { scope: "dns:zones:*" })).body.access_token;
  assert.equal((await exchange(child, { scope: "dns:*" })).body.error, "invalid_scope");
  assert.deepEqual((await stage.call((await exchange(child)).body.access_token)).body.scopes, ["dns:zones:*"]);
  for (const resource of [`${stage.address}/api`, "https://evil.example/mcp", `${stage.address}/mcp/../api`]) {
    assert.equal((await exchange(parent, { resource })).body.error, "invalid_target", resource);
  }
  stage.state.skewMs = 300_000;
  const late = (await exchange(parent)).body;
  assert.ok(late.expires_in <= 300, "not longer than what it was made from");
});

test("only for the same agent, from a live token, and so many times", async (context) => {
  const { stage, parent, exchange } = await setUp(context);
  const other = await stage.issue("other-bot");
  const foreign = await exchange(parent, {}, basic(other.client.id, other.secret ?? ""));
  assert.equal(foreign.body.error, "invalid_grant");
  const sibling = await stage.issue();
  assert.equal((await exchange(parent, {}, basic(sibling.client.id, sibling.secret ?? ""))).status, 200);
  for (const token of ["dwt_guess", "", `${parent}x`]) assert.notEqual((await exchange(token)).status, 200);
  let token = parent;
  for (let depth = 0; depth < 5; depth++) token = (await exchange(token)).body.access_token;
  assert.equal((await exchange(token)).body.error, "invalid_grant");
});

test("a sub-token ends with what it was made from, also after a restart", async (context) => {
  const { stage, client, secret, parent, exchange } = await setUp(context);
  const child = (await exchange(parent)).body.access_token;
  const grandchild = (await exchange(child)).body.access_token;
  assert.equal((await stage.call(grandchild)).status, 200);
  await stage.restart();
  assert.equal((await stage.call(grandchild)).status, 200);
  await stage.post("/oauth/revoke", { token: parent }, basic(client.id, secret));
  for (const token of [child, grandchild]) assert.equal((await stage.call(token)).body.reason, "revoked");
  await stage.restart();
  for (const token of [child, grandchild]) assert.equal((await stage.call(token)).body.reason, "revoked");
  assert.equal((await exchange(child)).body.error, "invalid_grant");
});

test("a bound token is exchanged by who has its key alone, and stays bound", async (context) => {
  const { stage, client, secret, exchange } = await setUp(context);
  const key = signer();
  const url = `${stage.address}/oauth/token`;
  const proof = () => ({ ...basic(client.id, secret), dpop: dpopProof(key, { method: "POST", url }) });
  const { body } = await stage.post("/oauth/token", { grant_type: "client_credentials" }, proof());
  assert.equal((await exchange(body.access_token)).body.error, "invalid_grant");
  const thief = { ...basic(client.id, secret), dpop: dpopProof(signer(), { method: "POST", url }) };
  assert.equal((await exchange(body.access_token, {}, thief)).body.error, "invalid_grant");
  const child = await exchange(body.access_token, {}, proof());
  assert.equal(child.body.token_type, "DPoP");
  assert.equal((await stage.call(child.body.access_token)).body.reason, "dpop_as_bearer");
});

test("whatever a narrower list of patterns lets through, the wider one does", () => {
  const word = fc.stringMatching(/^[ab:*]{1,5}$/);
  const name = fc.stringMatching(/^[ab:]{0,6}$/);
  fc.assert(
    fc.property(fc.array(word, { maxLength: 3 }), fc.array(word, { maxLength: 3 }), name, (narrow, wide, scope) => {
      fc.pre(areWithin(narrow, wide));
      const lets = (globs: readonly string[]) => globs.some((glob) => compileGlob(glob).matches(scope));
      assert.ok(!lets(narrow) || lets(wide), `${narrow} | ${wide} | ${scope}`);
    }),
    { numRuns: 500 },
  );
});
