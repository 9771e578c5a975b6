import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentFacts } from "./authenticate.ts";
import { createCertificateAuthenticator } from "./certificate-authenticator.ts";
import type { ClientCertificate } from "./client-certificate.ts";

const URI = "spiffe://acme.example/bot";
const SHARED = "spiffe://acme.example/shared";
const NOW = new Date("2026-03-01T10:00:00Z");
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);
const request = { token: undefined, ip: "127.0.0.1", purpose: "dns", task: undefined, now: NOW };

function certificate(parts: Partial<ClientCertificate>): ClientCertificate {
  const times = { startsAt: later(-60), expiresAt: later(60) };
  return { der: Buffer.alloc(0), thumbprint: "t", id: "cert_1", uris: [], subject: "", ...times, ...parts };
}

function setUp(denied: readonly string[] = []) {
  const agents = new Map<string, { config: AgentFacts & { name: string; certificates: readonly string[] } }>([
    ["uri-bot", { config: { name: "uri-bot", certificates: [URI, SHARED] } }],
    ["dn-bot", { config: { name: "dn-bot", certificates: ["CN=dn-bot,O=Acme", SHARED] } }],
    ["other", { config: { name: "other", tenant: "acme", environment: "production", certificates: ["CN=ot her"] } }],
  ]);
  const seen: string[] = [];
  const authenticate = createCertificateAuthenticator({
    agents: () => agents,
    tokens: { isDenied: (id) => denied.includes(id), seen: ({ id }) => seen.push(id) },
  });
  const reason = (parts: Partial<ClientCertificate>, now = NOW) => {
    const result = authenticate(certificate(parts), { ...request, now });
    return result.ok ? `ok ${result.principal.agent}` : result.reason;
  };
  return { authenticate, reason, seen };
}

test("a URI or a whole subject proves its agent", () => {
  const { authenticate, reason, seen } = setUp();
  assert.equal(reason({ uris: ["spiffe://acme.example/bot"], subject: "CN=whatever" }), "ok uri-bot");
  assert.equal(reason({ subject: "CN=dn-bot,O=Acme" }), "ok dn-bot");
  const result = authenticate(certificate({ subject: "CN=ot her" }), request);
  assert.ok(result.ok);
  assert.deepEqual(result.principal, {
    agent: "other",
    client: "mtls:CN=ot%20her",
    user: undefined,
    tenant: "acme",
    environment: "production",
    purpose: "dns",
    task: undefined,
    ip: "127.0.0.1",
    token: { kind: "certificate", id: "cert_1", expiresAt: later(60) },
  });
  assert.deepEqual(seen, ["cert_1", "cert_1", "cert_1"]);
});

test("part of a name, two names, or the name of two agents prove nobody", () => {
  const { reason, seen } = setUp();
  for (const subject of ["CN=dn-bot", "CN=dn-bot,O=Acme,C=DE", "O=Acme,CN=dn-bot", "cn=dn-bot,O=Acme", ""])
    assert.equal(reason({ subject }), "unknown_certificate", subject);
  assert.equal(reason({ uris: ["spiffe://acme.example/bot/more"] }), "unknown_certificate");
  assert.equal(reason({ uris: ["spiffe://acme.example/bot", "https://x.example"] }), "certificate_several_uris");
  assert.equal(reason({ uris: ["spiffe://acme.example/bot"], subject: "CN=dn-bot,O=Acme" }), "certificate_ambiguous");
  assert.equal(reason({ uris: ["spiffe://acme.example/shared"] }), "unknown_certificate");
  assert.deepEqual(seen, []);
});

test("time and revocation are judged at every use", () => {
  const uris = ["spiffe://acme.example/bot"];
  const { reason } = setUp();
  assert.equal(reason({ uris }, later(59)), "ok uri-bot");
  assert.equal(reason({ uris }, later(60)), "certificate_expired");
  assert.equal(reason({ uris }, later(-61)), "certificate_not_yet_valid");
  assert.equal(setUp(["cert_1"]).reason({ uris }), "revoked");
});
