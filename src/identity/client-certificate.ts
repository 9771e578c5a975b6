import { hash, X509Certificate } from "node:crypto";

/** A client certificate, as far as an identity needs it. That its issuer is one of ours was verified by who made this. */
export interface ClientCertificate {
  readonly der: Buffer;
  /** SHA-256 over its DER, base64url: what `cnf` `x5t#S256` names (RFC 8705 §3.1). */
  readonly thumbprint: string;
  /** `cert_…`: by which it is listed and revoked. */
  readonly id: string;
  /** URIs of its subject alternative name, in order. */
  readonly uris: readonly string[];
  /** RFC 4514: `CN=dns-bot,O=Acme`; `""` for none. */
  readonly subject: string;
  readonly startsAt: Date;
  readonly expiresAt: Date;
}

/** Bytes; a certificate of a client is a few kilobytes. */
const CERTIFICATE_BYTES_LIMIT = 64 * 1024;
/** Hexadecimal digits of the thumbprint in an id: 128 bits. */
const ID_DIGITS = 32;

/**
 * Reads a certificate.
 *
 * @param source - DER, or PEM of one certificate.
 * @returns `undefined` for what is none, or holds names that cannot be read in one way only. Never throws.
 */
export function readClientCertificate(source: Buffer | string): ClientCertificate | undefined {
  if (source.length > CERTIFICATE_BYTES_LIMIT) return undefined;
  try {
    const certificate = new X509Certificate(source);
    const uris = urisOf(certificate.subjectAltName);
    const subject = subjectOf(certificate.subject);
    const startsAt = new Date(certificate.validFrom);
    const expiresAt = new Date(certificate.validTo);
    if (uris === undefined || subject === undefined) return undefined;
    if (Number.isNaN(startsAt.getTime()) || Number.isNaN(expiresAt.getTime())) return undefined;
    const thumbprint = hash("sha256", certificate.raw, "base64url");
    const id = `cert_${hash("sha256", certificate.raw, "hex").slice(0, ID_DIGITS)}`;
    return { der: certificate.raw, thumbprint, id, uris, subject, startsAt, expiresAt };
  } catch {
    return undefined;
  }
}

/** One name of the subject alternative name as Node prints it: values with special characters stand in quotes, as JSON. */
const ALT_NAME = /([A-Za-z0-9 ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;

function urisOf(names: string | undefined): readonly string[] | undefined {
  if (names === undefined) return [];
  const uris: string[] = [];
  ALT_NAME.lastIndex = 0;
  for (let at = 0; at < names.length; at = ALT_NAME.lastIndex) {
    const match = ALT_NAME.exec(names);
    if (match === null) return undefined;
    const [, kind, value = ""] = match;
    if (kind !== "URI") continue;
    const uri = value.startsWith('"') ? (JSON.parse(value) as string) : value;
    if (!/^[\x21-\x7e]+$/.test(uri)) return undefined;
    uris.push(uri);
  }
  return uris;
}

/** Node prints one part a line, in the order of the certificate, with values escaped as in RFC 2253; that RFC reverses it. */
function subjectOf(printed: string | undefined): string | undefined {
  if (printed === undefined || printed === "") return "";
  const parts = printed.split("\n").map((part) => part.replaceAll(/(?<!\\) \+ /g, "+"));
  if (parts.some((part) => !/^[A-Za-z0-9.]+=[^\u0000-\u001f]*$/.test(part))) return undefined;
  return parts.reverse().join(",");
}
