import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** A certificate and its key, in PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

interface Issuer extends TestCertificate {
  readonly name: string;
  readonly privateKey: KeyObject;
}

const DAY_MS = 86_400_000;

/** Makes a certificate authority for one test run. */
export function makeAuthority(name: string): Issuer {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const cert = build({
    subject: name,
    issuer: name,
    publicKey,
    signer: privateKey,
    expires: inDays(30),
    extensions: [CA],
  });
  return { name, privateKey, cert, key: pemOf(privateKey) };
}

/** Issues a server certificate for one DNS name; valid since two days ago. */
export function issueCertificate(issuer: Issuer, dnsName: string, expires = inDays(30)): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const subject = { subject: dnsName, issuer: issuer.name, publicKey, signer: issuer.privateKey };
  return { cert: build({ ...subject, expires, extensions: [altNames(0x82, [dnsName])] }), key: pemOf(privateKey) };
}

/** A client's certificate, and its number for a list of revoked ones. */
export interface ClientTestCertificate extends TestCertificate {
  readonly serial: number;
}

/** Issues a client's certificate, for authentication; valid since two days ago unless said otherwise. */
export function issueClientCertificate(
  issuer: Issuer,
  name: string,
  parts: {
    readonly uris?: readonly string[];
    readonly from?: Date;
    readonly expires?: Date;
    readonly usage?: "client" | "server";
  } = {},
): ClientTestCertificate {
  const { uris = [], from, expires = inDays(30), usage = "client" } = parts;
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const extensions = [usageOf(usage), ...(uris.length === 0 ? [] : [altNames(0x86, uris)])];
  const subject = { subject: name, issuer: issuer.name, publicKey, signer: issuer.privateKey };
  const cert = build({ ...subject, ...(from === undefined ? {} : { from }), expires, extensions });
  return { cert, key: pemOf(privateKey), serial };
}

/** The list of an authority's certificates that it took back (RFC 5280 §5). */
export function makeCrl(issuer: Issuer, serials: readonly number[], nextUpdate = inDays(30)): string {
  const entries = serials.map((number) => sequence(der(0x02, Buffer.from([number])), timeOf(inDays(-1))));
  const list = sequence(
    ECDSA_SHA256,
    nameOf(issuer.name),
    timeOf(inDays(-2)),
    timeOf(nextUpdate),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
  );
  const signature = der(0x03, Buffer.from([0]), sign("sha256", list, issuer.privateKey));
  return pem("X509 CRL", sequence(list, ECDSA_SHA256, signature));
}

export function inDays(days: number): Date {
  return new Date(Date.now() + days * DAY_MS);
}

interface Parts {
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly from?: Date;
  readonly expires: Date;
  readonly extensions: readonly Buffer[];
}

const ECDSA_SHA256 = sequence(Buffer.from("06082a8648ce3d040302", "hex"));
/** basicConstraints, critical, CA:TRUE */
const CA = sequence(
  Buffer.from("0603551d13", "hex"),
  Buffer.from("0101ff", "hex"),
  octets(Buffer.from("30030101ff", "hex")),
);
/** extendedKeyUsage: clientAuth or serverAuth. */
function usageOf(usage: "client" | "server"): Buffer {
  const purpose = Buffer.from(usage === "client" ? "06082b06010505070302" : "06082b06010505070301", "hex");
  return sequence(Buffer.from("0603551d25", "hex"), octets(sequence(purpose)));
}

let serial = 1;

function build({ subject, issuer, publicKey, signer, from = inDays(-2), expires, extensions }: Parts): string {
  serial += 1;
  const tbs = sequence(
    Buffer.from("a003020102", "hex"),
    der(0x02, Buffer.from([serial])),
    ECDSA_SHA256,
    nameOf(issuer),
    sequence(timeOf(from), timeOf(expires)),
    nameOf(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = der(0x03, Buffer.from([0]), sign("sha256", tbs, signer));
  return pem("CERTIFICATE", sequence(tbs, ECDSA_SHA256, signature));
}

function pem(what: string, content: Buffer): string {
  const lines = content.toString("base64").match(/.{1,64}/g)!;
  return `-----BEGIN ${what}-----\n${lines.join("\n")}\n-----END ${what}-----\n`;
}

/** subjectAltName with dNSNames (0x82) or uniformResourceIdentifiers (0x86). */
function altNames(tag: number, names: readonly string[]): Buffer {
  const listed = sequence(...names.map((name) => der(tag, Buffer.from(name))));
  return sequence(Buffer.from("0603551d11", "hex"), octets(listed));
}

function nameOf(commonName: string): Buffer {
  return sequence(der(0x31, sequence(Buffer.from("0603550403", "hex"), der(0x0c, Buffer.from(commonName)))));
}

function timeOf(date: Date): Buffer {
  return der(0x18, Buffer.from(date.toISOString().replace(/[-:T]|\.\d+/g, "")));
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function octets(content: Buffer): Buffer {
  return der(0x04, content);
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
