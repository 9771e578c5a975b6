import assert from "node:assert/strict";
import { test } from "node:test";
import type { Authentication } from "./authenticate.ts";
import { createCallerAuthenticator } from "./authenticate-caller.ts";

const refused = (reason: string): Authentication => ({ ok: false, reason, agent: undefined, keyId: undefined });
const certificate = {
  der: Buffer.alloc(0),
  thumbprint: "t",
  id: "cert_1",
  uris: [],
  subject: "CN=a",
  startsAt: new Date(0),
  expiresAt: new Date(1),
};

const authenticate = createCallerAuthenticator({
  keys: ({ token }) => refused(`key ${token}`),
  verifiers: () => [
    { verify: (token) => (token.startsWith("a.") ? refused("first") : undefined) },
    { verify: (token) => (token.startsWith("b.") ? Promise.resolve(refused("second")) : undefined) },
  ],
  certificates: ({ id }) => refused(id),
});

async function ask(token: string | undefined, withCertificate: boolean): Promise<string> {
  const proof = { token, ip: "127.0.0.1", purpose: undefined, task: undefined, now: new Date(0) };
  const result = await authenticate({ ...proof, certificate: withCertificate ? certificate : undefined });
  return result.ok ? "ok" : result.reason;
}

test("a request has one identity: keys and known tokens speak before the certificate, dummies do not", async () => {
  assert.equal(await ask("dw_anything", false), "key dw_anything");
  assert.equal(await ask("dw_anything", true), "key dw_anything");
  assert.equal(await ask("a.1", true), "first");
  assert.equal(await ask("b.1", true), "second");
  assert.equal(await ask("sk-dummy", true), "cert_1");
  assert.equal(await ask(undefined, true), "cert_1");
  assert.equal(await ask("", true), "cert_1");
  assert.equal(await ask("sk-dummy", false), "key sk-dummy");
  assert.equal(await ask(undefined, false), "key undefined");
});
