import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { issueClientCertificate, makeAuthority } from "../egress/certificates.testing.ts";
import { readClientCertificate } from "../identity/client-certificate.ts";
import { createCertificateOf } from "./certificate-of.ts";
import { trustedProxies } from "./client-address.ts";

const authority = makeAuthority("ca");
const { cert } = issueClientCertificate(authority, "bot", { uris: ["spiffe://acme.example/bot"] });
const proxyOwn = readClientCertificate(issueClientCertificate(authority, "proxy").cert);
const base64 = new X509Certificate(cert).raw.toString("base64");

function ask(
  headers: readonly (readonly [string, string])[],
  { from = "10.0.0.1", header = "x-client-cert" }: { from?: string; header?: string } = {},
) {
  const find = createCertificateOf({
    ofSocket: () => proxyOwn,
    header: header || undefined,
    trusted: trustedProxies(["10.0.0.0/8"]),
  });
  const request = { rawHeaders: headers.flat(), socket: { remoteAddress: from } } as unknown as IncomingMessage;
  const found = find(request);
  return typeof found === "object" ? (found.uris[0] ?? found.subject) : found;
}

const good: Readonly<Record<string, string>> = {
  "RFC 9440": `:${base64}:`,
  base64,
  "PEM, escaped as nginx does": encodeURIComponent(cert),
};
for (const [form, value] of Object.entries(good)) {
  test(`a trusted proxy names the certificate: ${form}`, () => {
    assert.equal(ask([["X-Client-Cert", value]]), "spiffe://acme.example/bot");
  });
}

test("from anybody else the header says nothing", () => {
  assert.equal(ask([["X-Client-Cert", base64]], { from: "192.168.0.1" }), "CN=proxy");
  assert.equal(ask([["X-Client-Cert", base64]], { header: "" }), "CN=proxy");
});

test("behind a proxy, a caller without a certificate is not taken for the proxy", () => {
  assert.equal(ask([]), undefined);
  assert.equal(ask([["X-Client-Cert", ""]]), undefined);
});

test("what cannot be read in one way is refused: two headers, a chain, nonsense", () => {
  const value = encodeURIComponent(cert);
  const bad = [
    encodeURIComponent(cert + cert),
    `${base64},${base64}`,
    `:${base64}`,
    "%",
    "nonsense",
    "(null)",
    `Cert="${value}"`,
    "A".repeat(40_000),
  ];
  for (const text of bad) assert.equal(ask([["X-Client-Cert", text]]), "refused", text.slice(0, 20));
  assert.equal(
    ask([
      ["X-Client-Cert", value],
      ["x-client-cert", value],
    ]),
    "refused",
  );
});
