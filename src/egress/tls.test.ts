import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { inDays, issueCertificate, makeAuthority } from "./certificates.testing.ts";
import { requestTo, run, testEgress } from "./egress.testing.ts";

const authority = makeAuthority("test authority");
const good = issueCertificate(authority, "things.example");

/** An HTTPS upstream on loopback, known as `things.example`. */
async function httpsUpstream(t: TestContext, options: ServerOptions) {
  const seen: string[] = [];
  const server = createServer(options, (request, response) => {
    seen.push(`${request.url} ${request.headers.host} ${request.httpVersion}`);
    response.end("hello");
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, seen };
}

/** One call to it, with that authority trusted unless said otherwise. */
async function call(t: TestContext, port: number, ca: string | undefined = authority.cert, host = "things.example") {
  const egress = testEgress(t, { resolve: async () => ["127.0.0.1"] });
  return run(egress, requestTo("", { target: { origin: `https://${host}:${port}`, private: true, ca } }));
}

test("a certificate of the service's authority for its name is trusted", async (t) => {
  const { port, seen } = await httpsUpstream(t, good);
  const outcome = await call(t, port);
  assert.equal(outcome.problem?.reason, undefined);
  assert.equal(outcome.body.toString(), "hello");
  assert.deepEqual(seen, [`/v1/things?a=1 things.example:${port} 1.1`]);
});

const untrusted: Record<string, { options: ServerOptions; ca?: string; host?: string; reason: RegExp }> = {
  "another name": { options: issueCertificate(authority, "other.example"), reason: /ALTNAME/ },
  "an expired certificate": {
    options: issueCertificate(authority, "things.example", inDays(-1)),
    reason: /CERT_HAS_EXPIRED/,
  },
  "an authority that nobody named": {
    options: good,
    ca: makeAuthority("other").cert,
    reason: /UNABLE_TO_VERIFY|SIGNATURE/,
  },
  "a certificate that signs itself": { options: makeAuthority("things.example"), reason: /SELF_SIGNED/ },
  "an address that the certificate does not name": { options: good, host: "127.0.0.1", reason: /ALTNAME/ },
  "TLS 1.1": {
    options: { ...good, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
    reason: /TLS|SSL|ECONNRESET/,
  },
};

for (const [name, { options, ca, host, reason }] of Object.entries(untrusted)) {
  test(`${name} is not trusted, and nothing is sent`, async (t) => {
    const { port, seen } = await httpsUpstream(t, options);
    const { problem } = await call(t, port, ca ?? authority.cert, host);
    assert.equal(problem?.code, "upstream_unreachable");
    assert.match(problem?.reason ?? "", reason);
    assert.deepEqual(seen, []);
  });
}

test("without an authority of its own a service is held to the public roots", async (t) => {
  const { port, seen } = await httpsUpstream(t, good);
  const egress = testEgress(t, { resolve: async () => ["127.0.0.1"] });
  const target = { origin: `https://things.example:${port}`, private: true, ca: undefined };
  assert.equal((await run(egress, requestTo("", { target }))).problem?.code, "upstream_unreachable");
  assert.deepEqual(seen, []);
});

test("no environment variable turns verification off", async (t) => {
  const { port } = await httpsUpstream(t, makeAuthority("things.example"));
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
  t.after(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
  assert.equal((await call(t, port)).problem?.code, "upstream_unreachable");
});

test("plain text where TLS is due is a service that was not reached", async (t) => {
  const { createServer: createPlain } = await import("node:http");
  const server = createPlain((_request, response) => response.end());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  assert.equal((await call(t, (server.address() as AddressInfo).port)).problem?.code, "upstream_unreachable");
});
