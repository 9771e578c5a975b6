import { constants } from "node:crypto";
import type { Server } from "node:https";
import type { SecureContextOptions, TLSSocket, TlsOptions } from "node:tls";
import { type ClientCertificate, readClientCertificate } from "../identity/client-certificate.ts";
import type { TlsMaterial } from "./tls-files.ts";

/** A handshake must be over within this time. */
const HANDSHAKE_MS = 10_000;
/** What a peer that goes away before it says anything leaves behind: no handshake that failed. */
const GONE = new Set(["ECONNRESET", "EPIPE"]);

/** The connections of a TLS listener whose clients showed a certificate. */
export interface TlsClients {
  readonly certificateOf: (socket: object) => ClientCertificate | undefined;
  /** Ends each of these connections before its next request, so that its certificate is verified anew. */
  forget(): void;
}

/**
 * What a TLS server is made with.
 *
 * A certificate is asked for and not demanded, so that keys work beside certificates: {@link createTlsClients} ends a
 * connection whose certificate does not hold. No session is resumed where certificates count: a resumed one is not verified.
 */
export function tlsOptions({ cert, key, clientCa, clientCrl }: TlsMaterial): SecureContextOptions & TlsOptions {
  const plain = { cert, key, minVersion: "TLSv1.2", handshakeTimeout: HANDSHAKE_MS } as const;
  if (clientCa === undefined) return plain;
  return {
    ...plain,
    ca: clientCa,
    ...(clientCrl === undefined ? {} : { crl: clientCrl }),
    requestCert: true,
    rejectUnauthorized: false,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/**
 * Watches the handshakes of a TLS server.
 *
 * @param refused - Told why a handshake failed, and from where.
 */
export function createTlsClients(server: Server, refused: (reason: string, ip: string) => void): TlsClients {
  const shownBy = new WeakMap<object, { readonly certificate: ClientCertificate; readonly generation: number }>();
  let generation = 0;
  server.prependListener("secureConnection", (socket: TLSSocket) => {
    const shown = socket.getPeerX509Certificate();
    if (shown === undefined) return;
    const certificate = socket.authorized ? readClientCertificate(shown.raw) : undefined;
    if (certificate !== undefined) {
      shownBy.set(socket, { certificate, generation });
      return;
    }
    refused(`the client certificate is refused (${faultOf(socket)})`, socket.remoteAddress ?? "");
    socket.destroy();
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    if (!GONE.has(error.code ?? "")) refused(`the TLS handshake failed (${codeOf(error)})`, socket.remoteAddress ?? "");
  });
  server.prependListener("request", ({ socket }) => {
    if ((shownBy.get(socket)?.generation ?? generation) !== generation) socket.destroy();
  });
  return {
    certificateOf: (socket) => shownBy.get(socket)?.certificate,
    forget() {
      generation += 1;
    },
  };
}

/** OpenSSL's word for what is wrong: ours to write down, never the client's. */
function faultOf({ authorizationError }: TLSSocket): string {
  const error: unknown = authorizationError;
  return error === undefined || error === null ? "UNREADABLE" : error instanceof Error ? codeOf(error) : String(error);
}

function codeOf(error: NodeJS.ErrnoException): string {
  return (error.code ?? error.name).slice(0, 100);
}
