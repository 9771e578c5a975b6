import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { IssuerConfig } from "../config/schema.ts";
import { dpopProof, jwt, signer } from "./jwt.testing.ts";
import { basic, stageOAuth } from "./oauth.testing.ts";

const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const COMPANY: IssuerConfig = {
  name: "company",
  issuer: "https://login.company.example",
  jwks: { kind: "file", path: "/company.json" },
  private: false,
};

type Part = Record<string, unknown>;

async function setUp(context: TestContext) {
  const stage = await stageOAuth(context, { assertionIssuers: new Map([[COMPANY.name, COMPANY]]) });
  const key = signer();
  stage.documents.set("/company.json", { keys: [{ ...key.publicJwk, kid: "k1", alg: "EdDSA" }] });
  const { client, secret = "" } = await stage.issue();
  const at = Math.floor(Date.now() / 1_000);
  const make = (claims: Part = {}, header: Part = {}, by: Parameters<typeof jwt>[2] = key.privateKey) =>
    jwt(
      { alg: "EdDSA", kid: "k1", typ: "oauth-id-jag+jwt", ...header },
      {
        iss: COMPANY.issuer,
        sub: "alice@company.example",
        aud: stage.address,
        client_id: client.id,
        resource: `${stage.address}/mcp`,
        scope: "dns:* mail:read",
        jti: randomUUID(),
        iat: at,
        exp: at + 300,
        ...claims,
      },
      by,
    );
  const present = (
    assertion: string,
    more: Record<string, string> = {},
    who: Record<string, string> | undefined = undefined,
  ) => stage.post("/oauth/token", { grant_type: GRANT, assertion, ...more }, who ?? basic(client.id, secret));
  return { stage, key, client, secret, at, make, present };
}

const refusedFor = (stage: Awaited<ReturnType<typeof stageOAuth>>) =>
  stage.audit.events.filter(({ type }) => type === "token.refused").at(-1)?.data?.["reason"];

test("an issuer's word gives an adopted client a token for a person, once, and no refresh token", async (context) => {
  const { stage, client, make, present } = await setUp(context);
  const assertion = make();
  const { status, body } = await present(assertion);
  assert.equal(status, 200, JSON.stringify([body, stage.faults]));
  assert.deepEqual([body.refresh_token, body.token_type, body.scope], [undefined, "Bearer", "dns:* mail:read"]);
  const who = (await stage.call(body.access_token)).body;
  assert.deepEqual(
    [who.agent, who.client, who.user, who.scopes],
    ["dns-bot", client.id, "issuer:company/alice@company.example", ["dns:*", "mail:read"]],
  );
  const issued = stage.audit.events.filter(({ type }) => type === "token.issued").at(-1);
  assert.deepEqual([issued?.user, issued?.data?.["issuer"]], ["issuer:company/alice@company.example", "company"]);
  assert.equal((await present(assertion)).body.error, "invalid_grant");
  assert.match(String(refusedFor(stage)), /used before/);
  await stage.restart();
  assert.equal((await present(assertion)).body.error, "invalid_grant", "after a restart too");
  assert.deepEqual((await stage.call(body.access_token)).body.user, "issuer:company/alice@company.example");
});

test("of 50 parallel uses of one assertion one succeeds", async (context) => {
  const { make, present } = await setUp(context);
  const assertion = make();
  const answers = await Promise.all(Array.from({ length: 50 }, () => present(assertion)));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
});

test("a person of the issuer where people log in is the same person", async (context) => {
  const { stage, make, present } = await setUp(context);
  stage.state.peopleIssuer = COMPANY.issuer;
  const { body } = await present(make({ sub: "alice" }));
  assert.equal((await stage.call(body.access_token)).body.user, "user:alice");
});

test("whatever is wrong is refused in the same words, and the evidence says what", async (context) => {
  const { stage, at, make, present } = await setUp(context);
  const published = JSON.stringify(stage.documents.get("/company.json"));
  const stranger = signer();
  const other = `${stage.address}/api`;
  const wrong: Readonly<Record<string, readonly [string, RegExp]>> = {
    "another issuer": [make({ iss: "https://evil.example" }), /unknown_issuer/],
    "no issuer": [make({ iss: undefined }), /unknown_issuer/],
    "no JWT": ["not-a-jwt", /unknown_issuer/],
    "another key": [make({}, {}, stranger.privateKey), /err_jws_signature/],
    "an unknown key": [make({}, { kid: "k2" }, stranger.privateKey), /err_jwks/],
    "no signature": [make({}, { alg: "none" }, undefined), /err_jo/],
    "the public key as a secret": [make({}, { alg: "HS256" }, { hmac: published }), /err_jo/],
    "a key of its own": [make({}, { jwk: stranger.publicJwk }, stranger.privateKey), /header_not_allowed/],
    "keys elsewhere": [make({}, { jku: "https://evil.example/jwks" }), /header_not_allowed/],
    "a certificate elsewhere": [make({}, { x5u: "https://evil.example/x" }), /header_not_allowed/],
    "what must be understood": [make({}, { crit: ["exp"] }), /header_not_allowed/],
    "an ID token": [make({}, { typ: "JWT" }), /wrong_type/],
    "an access token": [make({}, { typ: "at+jwt" }), /wrong_type/],
    "no type": [make({}, { typ: undefined }), /wrong_type/],
    "another audience": [make({ aud: "https://other.example" }), /claim_aud/],
    "several audiences": [make({ aud: [stage.address, "https://other.example"] }), /claim_aud/],
    "the token endpoint as audience": [make({ aud: `${stage.address}/oauth/token` }), /claim_aud/],
    "no audience": [make({ aud: undefined }), /claim_aud/],
    "another client": [make({ client_id: "client_other" }), /claim_client_id/],
    "no client": [make({ client_id: undefined }), /claim_client_id/],
    "no subject": [make({ sub: undefined }), /claim_sub/],
    "a subject that hides": [make({ sub: "alice\u202e" }), /claim_sub/],
    "a subject of 256 characters": [make({ sub: "a".repeat(256) }), /claim_sub/],
    "no id": [make({ jti: undefined }), /claim_jti/],
    "an empty id": [make({ jti: "" }), /claim_jti/],
    "no expiry": [make({ exp: undefined }), /claim_exp/],
    "no time of issue": [make({ iat: undefined }), /lives_too_long/],
    "11 minutes": [make({ exp: at + 660 }), /lives_too_long/],
    expired: [make({ iat: at - 400, exp: at - 120 }), /expired/],
    "from the future": [make({ iat: at + 120, exp: at + 300 }), /not_yet_valid/],
    "not yet": [make({ nbf: at + 120 }), /claim_nbf/],
    "no resource": [make({ resource: undefined }), /claim_resource/],
    "another resource": [make({ resource: "https://other.example/mcp" }), /claim_resource/],
    "a resource beside ours": [make({ resource: [other, "https://other.example"] }), /claim_resource/],
    "no scope at all": [make({ scope: 7 }), /claim_scope/],
    "details of another kind": [make({ authorization_details: [{ type: "payment" }] }), /claim_authorization_details/],
    "a binding to a certificate": [make({ cnf: { "x5t#S256": "x" } }), /claim_cnf/],
    "a binding that is none": [make({ cnf: null }), /claim_cnf/],
    "a binding that is a number": [make({ cnf: 7 }), /claim_cnf/],
    "a binding to a key that is not shown": [make({ cnf: { jkt: "x" } }), /wrong DPoP key/],
  };
  for (const [name, [assertion, reason]] of Object.entries(wrong)) {
    stage.audit.events.length = 0;
    const { status, body } = await present(assertion);
    assert.deepEqual(
      [status, body.error, body.error_description],
      [400, "invalid_grant", "grant request is invalid"],
      `${name}: ${JSON.stringify(body)}`,
    );
    assert.match(String(refusedFor(stage)), reason, name);
    assert.equal(stage.audit.events.filter(({ type }) => type === "token.issued").length, 0, name);
  }
  assert.equal((await present(make())).status, 200, "and an honest one still passes");
});

test("clocks may differ by a minute", async (context) => {
  const { at, make, present } = await setUp(context);
  assert.equal((await present(make({ iat: at + 50, exp: at + 300 }))).status, 200);
  assert.equal((await present(make({ iat: at - 300, exp: at - 50 }))).status, 200);
});

test("what is issued is not wider than the assertion", async (context) => {
  const { stage, make, present } = await setUp(context);
  assert.equal((await present(make(), { scope: "dns:zones" })).body.scope, "dns:zones");
  for (const scope of ["*", "other:x", "mail:*"]) {
    assert.equal((await present(make(), { scope })).body.error, "invalid_scope", scope);
  }
  const resource = `${stage.address}/mcp/github`;
  const part = await present(make(), { resource });
  assert.equal((await stage.call(part.body.access_token, "/mcp/github")).status, 200);
  assert.equal((await stage.call(part.body.access_token)).status, 401);
  assert.equal((await present(make({ resource }), { resource: `${stage.address}/mcp` })).body.error, "invalid_target");
  assert.equal((await present(make({ resource: [resource, `${stage.address}/api`] }))).body.error, "invalid_target");
  const wire = [{ type: "doorward", actions: ["dns:zones"], purpose: "audit" }];
  const limited = await present(make({ authorization_details: wire }));
  assert.equal(limited.body.scope, "dns:zones");
  assert.equal((await stage.call(limited.body.access_token)).body.purpose, "audit");
});

test("bound to a key, it is used with that key alone, and so is its token", async (context) => {
  const { stage, client, secret, make, present } = await setUp(context);
  const url = `${stage.address}/oauth/token`;
  const proof = () => ({ ...basic(client.id, secret), dpop: dpopProof(signer(), { method: "POST", url }) });
  const { body } = await present(make(), {}, proof());
  assert.equal(body.token_type, "DPoP");
  assert.equal((await stage.call(body.access_token)).body.reason, "dpop_as_bearer");
  assert.equal((await present(make({ cnf: { jkt: "another" } }), {}, proof())).body.error, "invalid_grant");
});

test("a client whose tokens are bound gets no unbound one", async (context) => {
  const { stage, make } = await setUp(context);
  const certificate = (name: string) => ({
    der: Buffer.from(name),
    thumbprint: createHash("sha256").update(name).digest("base64url"),
    id: `cert_${name}`,
    uris: ["spiffe://acme/dns-bot"],
    subject: "CN=x",
    startsAt: new Date(0),
    expiresAt: new Date("2100-01-01T00:00:00Z"),
  });
  const { client } = await stage.server.clients.issue({
    agent: "dns-bot",
    auth: "tls_client_auth",
    jwks: undefined,
    subject: "spiffe://acme/dns-bot",
    by: "owner",
    now: new Date(),
  });
  stage.state.certificate = certificate("one");
  const assertion = make({ client_id: client.id });
  const { body } = await stage.post("/oauth/token", { grant_type: GRANT, assertion, client_id: client.id });
  assert.equal((await stage.call(body.access_token)).status, 200, JSON.stringify(body));
  stage.state.certificate = certificate("two");
  assert.equal((await stage.call(body.access_token)).body.reason, "wrong_certificate");

  const registered = await fetch(`${stage.address}/oauth/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ redirect_uris: ["http://127.0.0.1:1/cb"], dpop_bound_access_tokens: true }),
  });
  const { client_id: id, client_secret: secret = "" } = (await registered.json()) as Record<string, string>;
  await stage.server.clients.adopt({ id: id!, agent: "dns-bot", by: "owner" });
  const url = `${stage.address}/oauth/token`;
  const ask = (more: Record<string, string>) =>
    stage.post(
      "/oauth/token",
      { grant_type: GRANT, assertion: make({ client_id: id }) },
      { ...basic(id!, secret), ...more },
    );
  assert.equal((await ask({})).body.error, "invalid_grant");
  assert.match(String(refusedFor(stage)), /DPoP proof is missing/);
  assert.equal((await ask({ dpop: dpopProof(signer(), { method: "POST", url }) })).body.token_type, "DPoP");
});

test("a client that nobody adopted, that proves nothing, or that is revoked gets nothing", async (context) => {
  const { stage, client, make, present } = await setUp(context);
  const register = async (method: string) => {
    const metadata = { redirect_uris: ["http://127.0.0.1:1/cb"], token_endpoint_auth_method: method };
    const answer = await fetch(`${stage.address}/oauth/register`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...metadata, grant_types: ["authorization_code", GRANT] }),
    });
    return (await answer.json()) as { client_id: string; client_secret?: string };
  };
  const secretive = await register("client_secret_basic");
  const { client_id, client_secret = "" } = secretive;
  const mine = () => make({ client_id });
  assert.equal((await present(mine(), {}, basic(client_id, client_secret))).status, 400);
  await stage.server.clients.adopt({ id: client_id, agent: "dns-bot", by: "owner" });
  assert.equal((await present(mine(), {}, basic(client_id, client_secret))).status, 200, "once it is adopted");
  const open = await register("none");
  await stage.server.clients.adopt({ id: open.client_id, agent: "dns-bot", by: "owner" });
  const bare = await present(make({ client_id: open.client_id }), { client_id: open.client_id }, {});
  assert.equal(bare.status, 400);
  assert.equal((await present(make(), {}, basic(client.id, "wrong"))).status, 401);
  await stage.server.clients.revoke({ target: client.id, by: "owner", now: new Date() });
  assert.equal((await present(make())).status, 401);
});

test("it is off unless the file names an issuer, and said only where it is on", async (context) => {
  const { stage, make, present } = await setUp(context);
  const metadata = async () =>
    (await (await fetch(`${stage.address}/.well-known/oauth-authorization-server`)).json()) as Record<string, string[]>;
  const on = await metadata();
  assert.ok(on["grant_types_supported"]?.includes(GRANT));
  assert.deepEqual(on["authorization_grant_profiles_supported"], ["urn:ietf:params:oauth:grant-profile:id-jag"]);
  const { assertionIssuers: _, ...rest } = stage.state.config;
  stage.state.config = rest;
  const off = await metadata();
  assert.equal(off["grant_types_supported"]?.includes(GRANT), false);
  assert.equal(off["authorization_grant_profiles_supported"], undefined);
  assert.equal((await present(make())).body.error, "unsupported_grant_type");
});

test("an issuer that left the file vouches for nobody", async (context) => {
  const { stage, make, present } = await setUp(context);
  stage.state.config = {
    ...stage.state.config,
    assertionIssuers: new Map([["other", { ...COMPANY, issuer: "https://o" }]]),
  };
  assert.equal((await present(make())).body.error, "invalid_grant");
});

test("a person's tokens are listed as theirs", async (context) => {
  const { stage, make, present } = await setUp(context);
  await present(make());
  const [token] = await stage.server.tokens.list(new Date());
  assert.equal(token?.user, "issuer:company/alice@company.example");
});
