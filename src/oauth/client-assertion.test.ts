import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { jwt, signer } from "./jwt.testing.ts";
import { stageOAuth } from "./oauth.testing.ts";

const TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

test("a client proves itself by its key, and by nothing that looks like it", async (context) => {
  const stage = await stageOAuth(context);
  const key = signer();
  const issue = (jwks: object) =>
    stage.server.clients.issue({
      agent: "dns-bot",
      auth: "private_key_jwt",
      jwks: jwks as never,
      subject: undefined,
      by: "owner",
      now: new Date(),
    });
  const { client, secret } = await issue({ keys: [{ ...key.publicJwk, kid: "k1", alg: "EdDSA" }] });
  assert.equal(secret, undefined);
  const now = Math.floor(Date.now() / 1_000);
  const claims = () => ({
    iss: client.id,
    sub: client.id,
    aud: stage.address,
    jti: randomUUID(),
    iat: now,
    exp: now + 60,
  });
  const header = { alg: "EdDSA", kid: "k1" };
  const ask = (assertion: string) =>
    stage.post("/oauth/token", {
      grant_type: "client_credentials",
      client_assertion: assertion,
      client_assertion_type: TYPE,
    });

  const good = jwt(header, claims(), key.privateKey);
  const { status, body } = await ask(good);
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal((await stage.call(body.access_token)).body.agent, "dns-bot");
  assert.equal((await ask(good)).status, 401, "an assertion is good once");

  const thief = signer();
  const wrong: Record<string, string> = {
    unsigned: jwt({ alg: "none" }, claims(), undefined),
    "signed with the public key": jwt({ alg: "HS256", kid: "k1" }, claims(), { hmac: JSON.stringify(key.publicJwk) }),
    "another key": jwt(header, claims(), thief.privateKey),
    "its key in the header": jwt({ ...header, kid: "k2", jwk: thief.publicJwk }, claims(), thief.privateKey),
    "a key from elsewhere": jwt(
      { ...header, jku: "http://127.0.0.1:1/", x5u: "http://127.0.0.1:1/" },
      claims(),
      thief.privateKey,
    ),
    "a path as key id": jwt({ ...header, kid: "../../k1" }, claims(), thief.privateKey),
    "an extension that is critical": jwt({ ...header, crit: ["x"], x: 1 }, claims(), key.privateKey),
    "another audience": jwt(header, { ...claims(), aud: "https://other.example" }, key.privateKey),
    "another issuer": jwt(header, { ...claims(), iss: "client_other" }, key.privateKey),
    expired: jwt(header, { ...claims(), exp: now - 120 }, key.privateKey),
    "not yet": jwt(header, { ...claims(), nbf: now + 120 }, key.privateKey),
    "no end": jwt(header, { ...claims(), exp: undefined }, key.privateKey),
    "no id": jwt(header, { ...claims(), jti: undefined }, key.privateKey),
    nonsense: "nonsense",
  };
  for (const [what, assertion] of Object.entries(wrong)) {
    const answer = await ask(assertion);
    assert.ok([400, 401].includes(answer.status), `${what}: ${answer.status}`);
    assert.equal(answer.body.access_token, undefined, what);
  }
  const late = await ask(jwt(header, { ...claims(), exp: now - 30, iat: now - 90 }, key.privateKey));
  assert.equal(late.status, 200, "clocks may differ by a minute");
  await assert.rejects(issue({ keys: [{ ...key.publicJwk, d: "AAAA" }] }), /private/);
  await assert.rejects(issue({ keys: [] }));
  assert.deepEqual(stage.faults, []);
});

test("a client proves itself by its certificate, and its tokens are bound to it", async (context) => {
  const stage = await stageOAuth(context);
  const certificate = (thumbprint: string, uri: string) => ({
    der: Buffer.from(thumbprint),
    thumbprint: "",
    id: "cert_1",
    uris: [uri],
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
  const ask = () => stage.post("/oauth/token", { grant_type: "client_credentials", client_id: client.id });
  assert.equal((await ask()).status, 401);
  stage.state.certificate = certificate("one", "spiffe://acme/other");
  assert.equal((await ask()).status, 401);
  stage.state.certificate = "refused";
  assert.equal((await ask()).status, 401);
  stage.state.certificate = certificate("one", "spiffe://acme/dns-bot");
  const { status, body } = await ask();
  assert.equal(status, 200, JSON.stringify(body));
  const { createHash } = await import("node:crypto");
  const thumbprint = createHash("sha256").update("one").digest("base64url");
  stage.state.certificate = { ...certificate("one", "spiffe://acme/dns-bot"), thumbprint };
  assert.equal((await stage.call(body.access_token)).status, 200);
  stage.state.certificate = { ...certificate("two", "spiffe://acme/dns-bot"), thumbprint: "other" };
  assert.equal((await stage.call(body.access_token)).body.reason, "wrong_certificate");
  stage.state.certificate = undefined;
  assert.equal((await stage.call(body.access_token)).body.reason, "wrong_certificate");
});
