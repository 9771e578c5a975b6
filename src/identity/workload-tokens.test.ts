import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import type { TrustedIssuerConfig } from "../config/schema.ts";
import { createIssuerKeys } from "./issuer-keys.ts";
import { issuerConfig, makeSigner, type Signer, signToken } from "./workload.testing.ts";
import { createWorkloadTokens } from "./workload-tokens.ts";

const NOW = new Date("2026-03-01T10:00:00Z");
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);
const signer = await makeSigner("one");

interface Stage {
  issuer?: TrustedIssuerConfig;
  published?: readonly Signer[];
  denied?: Set<string>;
  kill?: { target: string; setBy: string };
}

function setUp(stage: Stage = {}) {
  const state = { issuer: issuerConfig(), published: [signer], denied: new Set<string>(), kill: undefined, ...stage };
  let fetched = 0;
  const seen: string[] = [];
  const verifier = createWorkloadTokens({
    issuers: () => new Map([[state.issuer.name, state.issuer]]),
    agentOf: (name) => (name === "gone" ? undefined : { tenant: "acme", environment: undefined }),
    keys: createIssuerKeys(async () => {
      fetched += 1;
      return Buffer.from(JSON.stringify({ keys: state.published.map(({ jwk }) => jwk) }));
    }),
    tokens: { isDenied: (id) => state.denied.has(id), seen: ({ id }) => seen.push(id) },
    killOf: () => state.kill,
  });
  const ask = (token: string, now = NOW) =>
    verifier.verify(token, { token, ip: "10.0.0.1", purpose: undefined, task: "t", now });
  const verdict = async (token: string, now = NOW) => {
    const result = await ask(token, now);
    return result === undefined ? "not ours" : result.ok ? `ok ${result.principal.agent}` : result.reason;
  };
  return { state, ask, verdict, seen, fetched: () => fetched };
}

test("a signed token proves the agent that its claims are mapped to; verified once, judged at every use", async () => {
  const { ask, seen, fetched, state, verdict } = setUp();
  const token = await signToken(signer, NOW);
  const first = await ask(token);
  assert.ok(first?.ok);
  const { client, token: shown, tenant, ip, task } = first.principal;
  assert.deepEqual([client, shown.kind, tenant, ip, task], ["workload:ci#job:1", "workload", "acme", "10.0.0.1", "t"]);
  const again = ask(token);
  assert.ok(!(again instanceof Promise) && again?.ok, "at once");
  assert.deepEqual(again, first);
  assert.equal(fetched(), 1);
  assert.deepEqual(seen, [shown.id, shown.id]);
  assert.equal(await verdict(token, later(359)), "ok bot", "60 s of tolerance");
  assert.equal(await verdict(token, later(360)), "expired");
  state.denied.add(shown.id);
  assert.equal(await verdict(token), "revoked");
});

test("a token that a kill took back tells of the kill while it is in force, and is invalid afterwards", async () => {
  const { ask, state } = setUp();
  const token = await signToken(signer, NOW);
  const first = await ask(token);
  assert.ok(first?.ok);
  state.denied.add(first.principal.token.id);
  state.kill = { target: "agent:bot", setBy: "owner" };
  const during = await ask(token);
  assert.deepEqual(!during?.ok && during?.kill, { target: "agent:bot", setBy: "owner" });
  state.kill = undefined;
  const after = await ask(token);
  assert.deepEqual(!after?.ok && [after?.reason, after?.kill], ["revoked", undefined]);
});

test("changed rules are asked anew: another mapping, an issuer that is not trusted any more", async () => {
  const { state, verdict } = setUp();
  const token = await signToken(signer, NOW);
  assert.equal(await verdict(token), "ok bot");
  state.issuer = issuerConfig({ agents: [{ agent: "other", claims: new Map([["sub", ["job:1"]]]) }] });
  assert.equal(await verdict(token), "ok other");
  state.issuer = issuerConfig({ issuer: "https://new.example" });
  assert.equal(await verdict(token), "not ours");
});

const clock: Readonly<Record<string, readonly [Parameters<typeof signToken>[2], string]>> = {
  "expired within the tolerance": [{ exp: -59 }, "ok bot"],
  expired: [{ exp: -61 }, "expired"],
  "without expiry": [{ claims: { exp: undefined } }, "claim_exp"],
  "for later": [{ claims: { nbf: NOW.getTime() / 1_000 + 61 } }, "claim_nbf"],
  "for within the tolerance": [{ claims: { nbf: NOW.getTime() / 1_000 + 59 } }, "ok bot"],
  "issued in the future": [{ claims: { iat: NOW.getTime() / 1_000 + 61 } }, "not_yet_valid"],
  "for another audience": [{ claims: { aud: "https://other.example" } }, "claim_aud"],
  "for several audiences, one of them ours": [{ claims: { aud: ["https://x", "https://broker.example"] } }, "ok bot"],
  "without audience": [{ claims: { aud: undefined } }, "claim_aud"],
  "of another issuer": [{ claims: { iss: "https://evil.example" } }, "not ours"],
  "without issuer": [{ claims: { iss: undefined } }, "not ours"],
  "of another subject": [{ claims: { sub: "job:2" } }, "no_agent"],
  "with a list for a subject": [{ claims: { sub: { toString: "job:1" } } }, "no_agent"],
  "with a jku": [{ header: { jku: "https://evil.example/jwks" } }, "header_not_allowed"],
  "with an x5u": [{ header: { x5u: "https://evil.example/x" } }, "header_not_allowed"],
  "with a key of its own": [{ header: { jwk: signer.jwk } }, "header_not_allowed"],
  "of another type": [{ header: { typ: "dpop+jwt" } }, "wrong_type"],
  "with a kid that leads elsewhere": [{ header: { kid: "../../etc/passwd" } }, "err_jwks_no_matching_key"],
};
for (const [what, [parts, expected]] of Object.entries(clock)) {
  test(`a token ${what}: ${expected}`, async () => {
    assert.equal(await setUp().verdict(await signToken(signer, NOW, parts)), expected);
  });
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

test("no signature, a symmetric one under the public key, another's, a cut or changed one: refused", async () => {
  const { verdict } = setUp();
  const token = await signToken(signer, NOW);
  const [header = "", body = "", signature = ""] = token.split(".");
  assert.equal(await verdict(`${encode({ alg: "none", kid: "one" })}.${body}.`), "err_jose_alg_not_allowed");
  assert.equal(
    await verdict(`${encode({ alg: "None", kid: "one" })}.${body}.${signature}`),
    "err_jose_alg_not_allowed",
  );
  const confused = `${encode({ alg: "HS256", kid: "one" })}.${body}`;
  for (const secret of [signer.publicKey.export({ type: "spki", format: "pem" }), JSON.stringify(signer.jwk)]) {
    const mac = createHmac("sha256", secret).update(confused).digest("base64url");
    assert.equal(await verdict(`${confused}.${mac}`), "err_jose_alg_not_allowed");
  }
  assert.equal(
    await verdict(`${encode({ alg: "RS256", kid: "one" })}.${body}.${signature}`),
    "err_jwks_no_matching_key",
  );
  assert.equal(await verdict(await signToken(await makeSigner("one"), NOW)), "err_jws_signature_verification_failed");
  assert.equal(await verdict(`${header}.${body}.${signature.slice(0, -2)}`), "err_jws_signature_verification_failed");
  const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as object;
  const widened = encode({ ...claims, sub: "job:1", admin: true });
  assert.equal(await verdict(`${header}.${widened}.${signature}`), "err_jws_signature_verification_failed");
  const crit = encode({ alg: "ES256", kid: "one", crit: ["exp"] });
  assert.equal(await verdict(`${crit}.${body}.${signature}`), "header_not_allowed");
  assert.equal(await verdict(`${encode({ kid: "one" })}.${body}.${signature}`), "malformed");
  const twice = Buffer.from('{"alg":"none","alg":"ES256","kid":"one"}').toString("base64url");
  assert.equal(await verdict(`${twice}.${body}.${signature}`), "malformed");
});

test("what is no JWT, or too long for one, is not ours to judge", async () => {
  const { verdict, fetched } = setUp();
  const long = await signToken(signer, NOW, { claims: { pad: "x".repeat(20_000) } });
  for (const token of ["", "a.b", "a.b.c.d", "dw_x", "..", "a.b.c", long])
    assert.equal(await verdict(token), "not ours");
  assert.equal(fetched(), 0);
});

test("a key that was rotated in is found; the issuer is asked for it once", async () => {
  const { state, verdict, fetched } = setUp();
  assert.equal(await verdict(await signToken(signer, NOW)), "ok bot");
  const next = await makeSigner("two");
  state.published = [signer, next];
  const token = await signToken(next, NOW);
  assert.equal(await verdict(token, later(10)), "err_jwks_no_matching_key", "too soon after the last fetch");
  assert.equal(await verdict(token, later(31)), "ok bot");
  assert.equal(fetched(), 2);
});

test("claims: by name, by path, in lists, all of them; two agents are none", async () => {
  const verdictFor = async (claims: Record<string, readonly string[]>, token: Record<string, unknown>) => {
    const mapping = { agent: "bot", claims: new Map(Object.entries(claims)) };
    const { verdict } = setUp({ issuer: issuerConfig({ agents: [mapping] }) });
    return verdict(await signToken(signer, NOW, { claims: token }));
  };
  const kubernetes = { "kubernetes.io": { namespace: "prod", serviceaccount: { name: "dns" } } };
  assert.equal(await verdictFor({ "kubernetes.io/namespace": ["prod"] }, kubernetes), "ok bot");
  assert.equal(await verdictFor({ "kubernetes.io/serviceaccount/name": ["x", "dns"] }, kubernetes), "ok bot");
  assert.equal(await verdictFor({ "kubernetes.io/namespace": ["prod"], sub: ["other"] }, kubernetes), "no_agent");
  assert.equal(await verdictFor({ "kubernetes.io": ["prod"] }, kubernetes), "no_agent");
  assert.equal(await verdictFor({ "https://x/role": ["a"] }, { "https://x/role": "a" }), "ok bot");
  assert.equal(await verdictFor({ groups: ["ops"] }, { groups: ["dev", "ops"] }), "ok bot");
  assert.equal(await verdictFor({ "__proto__/x": ["y"] }, {}), "no_agent");
  assert.equal(await verdictFor({ constructor: ["x"] }, {}), "no_agent");
  assert.equal(await verdictFor({ flag: ["true"] }, { flag: true }), "ok bot");
  const both = [
    { agent: "bot", claims: new Map([["sub", ["job:1"]]]) },
    { agent: "other", claims: new Map([["aud", ["https://broker.example"]]]) },
  ];
  const { verdict } = setUp({ issuer: issuerConfig({ agents: both }) });
  assert.equal(await verdict(await signToken(signer, NOW)), "several_agents");
});

test("an agent that left the file, and keys that cannot be had, let nobody in", async () => {
  const gone = setUp({ issuer: issuerConfig({ agents: [{ agent: "gone", claims: new Map([["sub", ["job:1"]]]) }] }) });
  assert.equal(await gone.verdict(await signToken(signer, NOW)), "unknown_agent");
  const dark = setUp({ published: [] });
  assert.equal(await dark.verdict(await signToken(signer, NOW)), "keys_unavailable");
});
