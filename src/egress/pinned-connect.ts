import { connect as connectTcp, isIP, type LookupFunction, type Socket, type TcpNetConnectOpts } from "node:net";
import { connect as connectTls, createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import type { buildConnector } from "undici";
import { Problem } from "../base/problem.ts";
import { sameAddress } from "./classify-address.ts";
import type { OutboundTarget } from "./outbound-request.ts";
import { errorCode, type Resolve, resolvePinned } from "./resolve-pinned.ts";

/** TCP and TLS handshakes together. */
const CONNECT_TIMEOUT_MS = 10_000;
/** One address of several; the next is tried beside it after that. */
const ATTEMPT_TIMEOUT_MS = 1_000;
const TCP_KEEP_ALIVE_MS = 60_000;
const READ_BUFFER_BYTES = 64 * 1024;

export interface ConnectOptions {
  readonly resolve: Resolve;
  readonly connectTimeoutMs?: number;
  readonly dnsTimeoutMs?: number;
}

interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** Absent: plain TCP. */
  readonly secureContext: SecureContext | undefined;
  readonly private: boolean;
}

/**
 * Makes the function by which undici opens connections to one target.
 *
 * For each connection the name is resolved once, every address of the answer is judged, and only those are dialled:
 * there is no second look-up between judging and dialling that could answer otherwise. TLS is verified against the
 * host's name, version 1.2 or later. No proxy variable of the environment is heeded.
 *
 * Its callback gets a {@link Problem}, never undici's own error codes: on some of those undici would connect again.
 */
export function createPinnedConnector(target: OutboundTarget, options: ConnectOptions): buildConnector.connector {
  const endpoint = endpointOf(target);
  return (_, callback) => {
    open(endpoint, options).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(asProblem(error), null),
    );
  };
}

async function open(endpoint: Endpoint, options: ConnectOptions): Promise<Socket> {
  const addresses = await resolvePinned(endpoint.host, {
    private: endpoint.private,
    resolve: options.resolve,
    ...(options.dnsTimeoutMs === undefined ? {} : { timeoutMs: options.dnsTimeoutMs }),
  });
  const socket = await dial(endpoint, addresses, options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
  const remote = socket.remoteAddress;
  if (remote === undefined || !addresses.some((address) => sameAddress(address, remote))) {
    socket.destroy();
    if (remote === undefined) throw new Problem("upstream_unreachable", { reason: "closed while connecting" });
    throw new Problem("upstream_forbidden_address", { reason: `connected to ${remote}, which was not resolved` });
  }
  return socket;
}

function dial(endpoint: Endpoint, addresses: readonly string[], timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = startDialling(endpoint, addresses);
    const timer = setTimeout(() => {
      socket.destroy(new Problem("upstream_unreachable", { reason: "no connection in time" }));
    }, timeoutMs);
    socket.once(endpoint.secureContext === undefined ? "connect" : "secureConnect", () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once("close", () => {
      clearTimeout(timer);
      reject(new Problem("upstream_unreachable", { reason: "closed while connecting" }));
    });
  });
}

function startDialling(endpoint: Endpoint, addresses: readonly string[]): Socket {
  const { host, port, secureContext } = endpoint;
  const options: TcpNetConnectOpts & { highWaterMark: number } = {
    host,
    port,
    lookup: answerWith(addresses),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ATTEMPT_TIMEOUT_MS,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
    highWaterMark: READ_BUFFER_BYTES,
  };
  if (secureContext === undefined) return connectTcp(options);
  return connectTls({
    ...options,
    secureContext,
    servername: isIP(host) === 0 ? host.replace(/\.$/, "") : "",
    rejectUnauthorized: true,
    ALPNProtocols: ["http/1.1"],
  });
}

/** A look-up that knows one answer. `net.connect` never calls it for a literal address, which is dialled as it stands. */
function answerWith(addresses: readonly string[]): LookupFunction {
  const answers = addresses.map((address) => ({ address, family: isIP(address) }));
  const [first] = answers;
  return (_host, options, callback) => {
    if (options.all === true) callback(null, answers);
    else callback(null, first!.address, first!.family);
  };
}

function endpointOf(target: OutboundTarget): Endpoint {
  const url = new URL(target.origin);
  const secure = url.protocol === "https:";
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    secureContext: secure ? secureContextFor(target.ca) : undefined,
    private: target.private,
  };
}

function secureContextFor(ca: string | undefined): SecureContext {
  return createSecureContext({
    minVersion: "TLSv1.2",
    ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] }),
  });
}

function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const code = errorCode(error);
  const tls = code !== undefined && /CERT|TLS|SSL|SIGNATURE|ISSUER|CRL|EPROTO/.test(code);
  return new Problem("upstream_unreachable", {
    detail: tls ? "the service's certificate or TLS cannot be trusted" : "no connection to the service",
    // No `cause`: the message of a TLS error quotes the peer's certificate, which the peer writes.
    reason: `connect: ${code ?? "unknown error"}`,
  });
}
