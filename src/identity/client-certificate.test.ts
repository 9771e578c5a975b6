import assert from "node:assert/strict";
import { hash, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { inDays, issueClientCertificate, makeAuthority } from "../egress/certificates.testing.ts";
import { readClientCertificate } from "./client-certificate.ts";

const authority = makeAuthority("ca");

test("names, time and thumbprint of a certificate, from PEM and from DER", () => {
  const { cert } = issueClientCertificate(authority, "dns-bot", {
    uris: ["spiffe://acme.example/bot", "https://x/y,z"],
  });
  const { raw, fingerprint256 } = new X509Certificate(cert);
  const read = readClientCertificate(cert);
  assert.deepEqual(read, readClientCertificate(raw));
  assert.deepEqual(read?.uris, ["spiffe://acme.example/bot", "https://x/y,z"]);
  assert.equal(read?.subject, "CN=dns-bot");
  assert.equal(read?.thumbprint, hash("sha256", raw, "base64url"));
  assert.ok(
    fingerprint256
      .replaceAll(":", "")
      .toLowerCase()
      .startsWith(read?.id.slice("cert_".length) ?? "-"),
  );
  assert.ok(read !== undefined && read.startsAt < new Date() && read.expiresAt > inDays(29));
});

test("a name cannot pretend to be two: separators inside a value stay inside", () => {
  const subject = readClientCertificate(issueClientCertificate(authority, "a,O=Acme\nCN=b + OU=c").cert)?.subject;
  assert.notEqual(subject, "CN=a,O=Acme");
  assert.ok(subject === undefined || /^CN=a\\,O=Acme/.test(subject), subject);
  const uris = readClientCertificate(
    issueClientCertificate(authority, "a", { uris: ['x:y, URI:spiffe://acme.example/root"'] }).cert,
  )?.uris;
  assert.ok(uris === undefined || !uris.includes("spiffe://acme.example/root"));
});

test("what is no certificate is none", () => {
  for (const source of ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    assert.equal(readClientCertificate(source), undefined);
  assert.equal(readClientCertificate(Buffer.alloc(1_000_000, 48)), undefined);
});
