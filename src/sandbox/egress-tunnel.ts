import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { Problem } from "../base/problem.ts";
import type { EgressAuthority } from "./egress-authority.ts";
import type { EgressOrigin } from "./egress-session.ts";

/** From the answer to `CONNECT` to the first byte, and from there to the end of the TLS handshake. */
const HANDSHAKE_MS = 10_000;
/** The first byte of TLS: a handshake record. */
const TLS_HANDSHAKE = 0x16;

/** A tunnel whose far end is the proxy itself. */
export interface OpenTunnel {
  readonly stream: Duplex;
  readonly origin: EgressOrigin;
}

/**
 * Takes over a connection for which a tunnel was granted: ends TLS with a certificate of the program's own authority, or
 * takes it as plain HTTP.
 *
 * There is no tunnel through: what is neither TLS nor HTTP/1.1 fails here or in the parser behind.
 *
 * @param plain - Whether plain HTTP is spoken at this place.
 * @throws {Problem} `bad_host` when TLS names another host, `invalid_request` when it is not what the place speaks, or does
 *   not come in time. The connection is then closed.
 */
export async function openTunnel(
  socket: Socket,
  { host, port, plain, secure }: { host: string; port: number; plain: boolean; secure: boolean },
  { authority, now }: { readonly authority: EgressAuthority; readonly now: Date },
): Promise<OpenTunnel> {
  const first = await firstByte(socket);
  if (first !== TLS_HANDSHAKE) {
    if (plain) return { stream: socket, origin: { protocol: "http:", host, port } };
    socket.destroy();
    throw new Problem("invalid_request", {
      detail: "the tunnel carries no TLS, and plain HTTP is for private hosts",
      remedy: "Use `https`.",
    });
  }
  if (!secure) {
    socket.destroy();
    throw new Problem("invalid_request", { detail: "the tunnel carries TLS to a place that speaks plain HTTP" });
  }
  const stream = await shakeHands(socket, authority, host, now);
  return { stream, origin: { protocol: "https:", host, port } };
}

async function firstByte(socket: Socket): Promise<number> {
  const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
  try {
    const head: Buffer = socket.readableLength > 0 ? socket.read() : await eventOf(socket, "data");
    socket.pause();
    socket.unshift(head);
    return head[0]!;
  } catch (error) {
    throw ended(error);
  } finally {
    clearTimeout(timer);
  }
}

async function shakeHands(socket: Socket, authority: EgressAuthority, host: string, now: Date): Promise<TLSSocket> {
  const stream = new TLSSocket(socket, {
    isServer: true,
    secureContext: authority.contextFor(host, now),
    ALPNProtocols: ["http/1.1"],
  });
  stream.on("error", () => stream.destroy());
  const timer = setTimeout(() => stream.destroy(), HANDSHAKE_MS);
  try {
    await eventOf(stream, "secure");
  } catch (error) {
    socket.destroy();
    throw ended(error);
  } finally {
    clearTimeout(timer);
  }
  // Clients name no address in TLS; who names a host must name this one.
  const named = (stream as TLSSocket & { readonly servername?: string | false | null }).servername;
  if (typeof named === "string" && named !== "" && named.toLowerCase() !== host) {
    stream.destroy();
    throw new Problem("bad_host", { detail: "TLS names another host than the tunnel" });
  }
  return stream;
}

/** What comes with an event; rejects when the stream ends before it comes. */
function eventOf<Value>(stream: Duplex, event: string): Promise<Value> {
  return new Promise((resolve, reject) => {
    stream.once(event, resolve);
    stream.once("close", () => reject(ended(undefined)));
    stream.once("error", reject);
  });
}

function ended(cause: unknown): Problem {
  if (cause instanceof Problem) return cause;
  return new Problem("invalid_request", {
    detail: "the tunnel ended before a request came",
    remedy:
      "Trust the authority that Doorward gave (`SSL_CERT_FILE` and its kin), and speak HTTP/1.1 over TLS 1.2 or later.",
    cause,
  });
}
