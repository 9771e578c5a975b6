import assert from "node:assert/strict";
import { test } from "node:test";
import { dpopProof, jwt, signer } from "./jwt.testing.ts";
import { basic, stageOAuth } from "./oauth.testing.ts";

const GRANT = { grant_type: "client_credentials" };

async function bound(context: Parameters<typeof stageOAuth>[0]) {
  const stage = await stageOAuth(context);
  const { client, secret = "" } = await stage.issue();
  const key = signer();
  const url = `${stage.address}/oauth/token`;
  const headers = { ...basic(client.id, secret), dpop: dpopProof(key, { method: "POST", url }) };
  const { body } = await stage.post("/oauth/token", { ...GRANT, resource: `${stage.address}/api` }, headers);
  const token = body.access_token as string;
  const target = `${stage.address}/api/dns/zones`;
  const use = async (proof: string | undefined, scheme = "DPoP", path = "/api/dns/zones?x=1") =>
    stage.call(token, path, { authorization: `${scheme} ${token}`, ...(proof === undefined ? {} : { dpop: proof }) });
  return { stage, client, secret, key, body, token, target, use };
}

test("a bound token is good with a proof of its key, once each", async (context) => {
  const { body, key, token, target, use } = await bound(context);
  assert.equal(body.token_type, "DPoP", JSON.stringify(body));
  const proof = dpopProof(key, { method: "GET", url: target, token });
  const first = await use(proof);
  assert.equal(first.status, 200, JSON.stringify(first.body));
  assert.equal((await use(proof)).body.reason, "dpop_replay");
  assert.equal((await use(dpopProof(key, { method: "GET", url: target, token }))).status, 200);
});

test("who stole a bound token has nothing", async (context) => {
  const { key, token, target, use } = await bound(context);
  const thief = signer();
  const get = { method: "GET", url: target, token };
  const { privateKey, publicJwk } = key;
  const now = Math.floor(Date.now() / 1_000);
  const claims = { jti: "1", htm: "GET", htu: target, iat: now, ath: "x" };
  const wrong: Record<string, readonly [string | undefined, string]> = {
    "no proof": [undefined, "dpop_missing"],
    "another key": [dpopProof(thief, get), "dpop_key"],
    "another key that claims to be the right one": [
      dpopProof(thief, get, { header: { jwk: publicJwk } }),
      "dpop_signature",
    ],
    "another method": [dpopProof(key, { ...get, method: "POST" }), "dpop_method"],
    "another path": [dpopProof(key, { ...get, url: `${target}/1` }), "dpop_url"],
    "another host": [dpopProof(key, { ...get, url: "https://evil.example/api/dns/zones" }), "dpop_url"],
    "no URL": [dpopProof(key, get, { claims: { htu: "nonsense" } }), "dpop_url"],
    "another token": [dpopProof(key, { ...get, token: "dwt_other" }), "dpop_token"],
    "no token": [dpopProof(key, { method: "GET", url: target }), "dpop_token"],
    "no id": [dpopProof(key, get, { claims: { jti: "" } }), "dpop_jti"],
    "a huge id": [dpopProof(key, get, { claims: { jti: "x".repeat(300) } }), "dpop_jti"],
    "too old": [dpopProof(key, get, { claims: { iat: now - 120 } }), "dpop_time"],
    "from the future": [dpopProof(key, get, { claims: { iat: now + 120 } }), "dpop_time"],
    "no time": [dpopProof(key, get, { claims: { iat: "now" } }), "dpop_signature"],
    "somebody's nonce": [dpopProof(key, get, { claims: { nonce: "abc" } }), "dpop_nonce"],
    "another type": [dpopProof(key, get, { header: { typ: "jwt" } }), "dpop_signature"],
    unsigned: [jwt({ typ: "dpop+jwt", alg: "none", jwk: publicJwk }, claims, undefined), "dpop_signature"],
    "signed with the public key": [
      jwt({ typ: "dpop+jwt", alg: "HS256", jwk: publicJwk }, claims, { hmac: JSON.stringify(publicJwk) }),
      "dpop_signature",
    ],
    "a key from elsewhere": [
      jwt({ typ: "dpop+jwt", alg: "EdDSA", jku: "http://169.254.169.254/", kid: "../x" }, claims, privateKey),
      "dpop_signature",
    ],
    "an extension that is critical": [dpopProof(key, get, { header: { crit: ["exp"], exp: 1 } }), "dpop_signature"],
    "no JWT": ["nonsense", "dpop_signature"],
    "a long one": ["x".repeat(9_000), "dpop_malformed"],
  };
  for (const [what, [proof, reason]] of Object.entries(wrong)) {
    const { status, body } = await use(proof);
    assert.equal(status, 401, what);
    assert.equal(body.reason, reason, what);
    assert.ok(body.proof !== undefined, what);
  }
  const asBearer = await use(dpopProof(key, get), "Bearer");
  assert.equal(asBearer.body.reason, "dpop_as_bearer");
  assert.equal((await use(dpopProof(key, get))).status, 200, "and nothing of that harmed its owner");
});

test("whose clock is wrong gets a nonce and gets in with it", async (context) => {
  const { key, token, target, use } = await bound(context);
  const get = { method: "GET", url: target, token };
  const iat = Math.floor(Date.now() / 1_000) - 3_600;
  const { body } = await use(dpopProof(key, get, { claims: { iat } }));
  const { nonce } = body.proof;
  assert.match(nonce, /^[\w-]{43}$/);
  const better = dpopProof(key, get, { claims: { iat, nonce } });
  assert.equal((await use(better)).status, 200);
  assert.equal((await use(better)).body.reason, "dpop_replay");
});

test("a proof at the token endpoint is good once, and a bound client cannot do without", async (context) => {
  const { stage, client, secret, key } = await bound(context);
  const url = `${stage.address}/oauth/token`;
  const dpop = dpopProof(key, { method: "POST", url });
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => stage.post("/oauth/token", GRANT, { ...basic(client.id, secret), dpop })),
  );
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  const elsewhere = dpopProof(key, { method: "POST", url: "https://evil.example/oauth/token" });
  const wrong = await stage.post("/oauth/token", GRANT, { ...basic(client.id, secret), dpop: elsewhere });
  assert.equal(wrong.body.error, "invalid_dpop_proof");
});
