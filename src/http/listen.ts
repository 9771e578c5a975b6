import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { HEADER_BYTES, HEADERS_COUNT, HTTP_SERVER_OPTIONS } from "../base/http-server-options.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { refuseSocket } from "../base/refuse-socket.ts";
import type { ClientCertificate } from "../identity/client-certificate.ts";
import type { createFront } from "./create-front.ts";
import { refuseRequest } from "./refuse-request.ts";
import { createTlsClients, tlsOptions } from "./tls-clients.ts";
import type { TlsMaterial } from "./tls-files.ts";

/** How often connections that became idle are ended while a listener closes. */
const IDLE_SWEEP_MS = 20;
/** Open connections of one listener. */
const CONNECTIONS = 20_000;

type Handler = ReturnType<typeof createFront>;

/** Told of what was not valid HTTP, or did not arrive in time. */
export type BrokenRequest = (problem: Problem, requestId: string, ip: string) => void;

export interface Listener {
  readonly server: Server;
  /** `http://127.0.0.1:7420`; for the local socket its path. */
  readonly address: string;
  /** Stops accepting; open connections end after their request. */
  close(): Promise<void>;
}

export interface TcpListener extends Listener {
  /** The verified certificate of a client's connection; `undefined` for one without. */
  readonly certificateOf: (socket: object) => ClientCertificate | undefined;
  /** Takes other certificates into force. Connections whose client showed one are verified anew. @throws where it does not hold. */
  renewTls(tls: TlsMaterial): void;
}

export type UpgradeHandler = (request: Parameters<Handler>[0], socket: Duplex, head: Buffer) => void;

export interface TcpOptions {
  readonly host: string;
  readonly port: number;
  /** PEM texts; without them plain HTTP, which the configuration allows on loopback or behind a named proxy only. */
  readonly tls: TlsMaterial | undefined;
  readonly broken: BrokenRequest;
}

/** Listens on TCP. @throws {Problem} `invalid_request` where nobody can listen. */
export async function listenTcp(handler: Handler, { host, port, tls, broken }: TcpOptions): Promise<TcpListener> {
  const secured = tls === undefined ? undefined : createSecureServer(tls, { handler, broken });
  const server = secured?.server ?? createServer(HTTP_SERVER_OPTIONS, handler);
  prepare(server, broken);
  await listening(server, `${host}:${port}`, (done) => server.listen({ host, port }, done));
  const bound = server.address() as AddressInfo;
  const name = bound.address.includes(":") ? `[${bound.address}]` : bound.address;
  return {
    server,
    address: `${tls === undefined ? "http" : "https"}://${name}:${bound.port}`,
    close: () => close(server),
    certificateOf: (socket) => secured?.certificateOf(socket),
    renewTls: (material) => secured?.renew(material),
  };
}

function createSecureServer(tls: TlsMaterial, { handler, broken }: { handler: Handler; broken: BrokenRequest }) {
  const server = createTlsServer({ ...HTTP_SERVER_OPTIONS, ...tlsOptions(tls) }, handler);
  const clients = createTlsClients(server, (reason, ip) => {
    broken(new Problem("invalid_token", { detail: reason }), newId("req"), ip);
  });
  return {
    server: server as unknown as Server,
    certificateOf: clients.certificateOf,
    renew(material: TlsMaterial) {
      server.setSecureContext(tlsOptions(material));
      clients.forget();
      server.closeIdleConnections();
    },
  };
}

/**
 * Listens on a unix socket that only this account may open.
 *
 * @param path - A stale file there is removed: the caller holds the home's lock, so nobody listens on it.
 */
export async function listenSocket(handler: Handler, path: string, upgrade: UpgradeHandler): Promise<Listener> {
  const server = createServer(HTTP_SERVER_OPTIONS, handler);
  prepare(server, () => {});
  server.on("upgrade", upgrade);
  rmSync(path, { force: true });
  const mask = process.umask(0o177);
  try {
    await listening(server, path, (done) => server.listen(path, done));
  } finally {
    process.umask(mask);
  }
  chmodSync(path, 0o600);
  return { server, address: path, close: () => close(server) };
}

/** @throws {Problem} `invalid_request` naming the place: taken, not ours, or no address of this machine. */
function listening(server: Server, where: string, listen: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    // Later ones are of single connections that could not be accepted; the listener goes on.
    server.on("error", (error: NodeJS.ErrnoException) =>
      reject(
        new Problem("invalid_request", {
          detail: `\`${where}\` cannot be listened on (${error.code ?? "unknown"})`,
          remedy: "Stop what listens there, or choose another address with `--listen` or `server.listen`.",
          cause: error,
        }),
      ),
    );
    listen(resolve);
  });
}

function prepare(server: Server, broken: BrokenRequest): void {
  server.maxHeadersCount = HEADERS_COUNT;
  server.maxConnections = CONNECTIONS;
  const latest = new WeakMap<Duplex, ServerResponse>();
  server.prependListener("request", (request, response) => {
    latest.set(request.socket, response);
    // While it drains, each answer is the last of its connection.
    if (!server.listening) response.shouldKeepAlive = false;
  });
  server.on("connect", (_, socket) => {
    answerByHand(socket, new Problem("method_not_allowed", { detail: "there is no tunnel here" }), broken);
  });
  server.on("checkExpectation", (request, response) => {
    const detail = "the Expect header asks for something else than `100-continue`";
    refuseRequest(request, response, new Problem("invalid_request", { detail }), newId("req"));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const response = latest.get(socket);
    const underWay = response?.headersSent === true && !response.writableFinished;
    if (underWay || !socket.writable || error.code === "ECONNRESET") socket.destroy();
    else answerByHand(socket, brokenRequest(error), broken);
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
    server.close(() => {
      clearInterval(sweep);
      resolve();
    });
    server.closeIdleConnections();
  });
}

/** Answers what Node would not give to a handler: the refusal has the contract's form here too. */
function answerByHand(socket: Duplex, problem: Problem, broken: BrokenRequest): void {
  const requestId = newId("req");
  broken(problem, requestId, (socket as Socket).remoteAddress ?? "unix");
  refuseSocket(socket, problem, requestId);
}

function brokenRequest(error: NodeJS.ErrnoException): Problem {
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") return new Problem("request_timeout");
  if (error.code === "HPE_HEADER_OVERFLOW") {
    return new Problem("too_large", { detail: `the request's head is larger than ${HEADER_BYTES} bytes` });
  }
  return new Problem("invalid_request", { detail: "the request is not valid HTTP" });
}
