import type { IncomingMessage } from "node:http";
import { type ClientCertificate, readClientCertificate } from "../identity/client-certificate.ts";
import { peerAddress, type TrustedProxies } from "./client-address.ts";

/**
 * Finds the client certificate of a request, verified by whoever ended its TLS.
 *
 * @returns `undefined` where there is none; `refused` where one was sent that cannot be read in one way. Never throws.
 */
export type CertificateOf = (request: IncomingMessage) => ClientCertificate | "refused" | undefined;

export interface CertificateSources {
  /** Of our own listener: the certificate of a connection, by its socket. */
  readonly ofSocket: (socket: object) => ClientCertificate | undefined;
  /** Where a trusted proxy writes the certificate that it verified; lower case. */
  readonly header: string | undefined;
  readonly trusted: TrustedProxies;
}

/** Characters of the header; a certificate of a client is a few kilobytes. */
const HEADER_LIMIT = 32 * 1024;

/** Makes the function that finds certificates. */
export function createCertificateOf({ ofSocket, header, trusted }: CertificateSources): CertificateOf {
  return (request) => {
    // INVARIANT: behind a proxy the header alone counts, or callers without a certificate would be taken for the proxy.
    if (header !== undefined && trusted(peerAddress(request))) return fromHeader(request, header);
    return ofSocket(request.socket);
  };
}

function fromHeader(request: IncomingMessage, name: string): ClientCertificate | "refused" | undefined {
  const raw = request.rawHeaders;
  let value: string | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() !== name) continue;
    if (value !== undefined) return "refused";
    value = raw[i + 1]!;
  }
  if (value === undefined || value === "") return undefined;
  const source = value.length > HEADER_LIMIT ? undefined : certificateText(value);
  return (source === undefined ? undefined : readClientCertificate(source)) ?? "refused";
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const PEM = /^-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*$/;

/** `:BASE64:` (RFC 9440), BASE64 alone (HAProxy, Caddy), or PEM escaped for a URL (nginx). One certificate, no chain. */
function certificateText(value: string): Buffer | string | undefined {
  const plain = /^:([^:]*):$/.exec(value)?.[1] ?? value;
  if (BASE64.test(plain)) return Buffer.from(plain, "base64");
  try {
    const pem = decodeURIComponent(value);
    return PEM.test(pem) ? pem : undefined;
  } catch {
    return undefined;
  }
}
