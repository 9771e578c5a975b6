import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connect, createServer } from "node:tls";
import { createEgressAuthority } from "./egress-authority.ts";

const NOW = new Date();

test("the authority is one that verifiers accept, and for certificates alone", () => {
  const certificate = new X509Certificate(createEgressAuthority(NOW).certificate);
  assert.equal(certificate.ca, true);
  assert.equal(certificate.verify(certificate.publicKey), true);
  assert.ok(certificate.validFromDate < NOW && certificate.validToDate > NOW);
});

test("two programs do not trust each other's authority", () => {
  const [one, other] = [createEgressAuthority(NOW), createEgressAuthority(NOW)].map(
    ({ certificate }) => new X509Certificate(certificate),
  );
  assert.equal(one!.verify(other!.publicKey), false);
});

for (const host of [
  "api.example.com",
  "127.0.0.1",
  "::1",
  "2001:db8::7:1",
  `${"a".repeat(60)}.${"b".repeat(60)}.example`,
]) {
  test(`a certificate for ${host} is taken for that host and no other`, async (t) => {
    const authority = createEgressAuthority(NOW);
    const server = createServer({ SNICallback: (_, done) => done(null, authority.contextFor(host, NOW)) });
    t.after(() => server.close());
    server.on("tlsClientError", () => {});
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const dial = async (name: string) => {
      const socket = connect({
        host: "127.0.0.1",
        port,
        ca: authority.certificate,
        servername: "sni.example",
        checkServerIdentity: (_, peer) => {
          const certificate = new X509Certificate(peer.raw);
          return (name.includes(":") || /^[\d.]+$/.test(name)
            ? certificate.checkIP(name)
            : certificate.checkHost(name)) === undefined
            ? new Error("another host")
            : undefined;
        },
      });
      try {
        await once(socket, "secureConnect");
        return socket.authorized;
      } catch {
        return false;
      } finally {
        socket.destroy();
      }
    };
    assert.equal(await dial(host), true);
    assert.equal(await dial("other.example"), false);
    assert.equal(await dial("127.0.0.2"), false);
  });
}

test("a leaf is kept, and renewed before it expires", () => {
  const authority = createEgressAuthority(NOW);
  const first = authority.contextFor("api.example.com", NOW);
  const later = (hours: number) => new Date(NOW.getTime() + hours * 3_600_000);
  assert.equal(authority.contextFor("api.example.com", later(23)), first);
  assert.notEqual(authority.contextFor("api.example.com", later(25)), first);
});
