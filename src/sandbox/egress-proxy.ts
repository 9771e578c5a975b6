import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { AuditEvent, AuditLog } from "../audit/event.ts";
import { HEADERS_COUNT, HTTP_SERVER_OPTIONS } from "../base/http-server-options.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { refuseSocket } from "../base/refuse-socket.ts";
import { recordRefusal } from "../broker/record-refusal.ts";
import { createEgressAuthority, type EgressAuthority } from "./egress-authority.ts";
import { type EgressRequestDeps, handleEgressRequest, undeclared } from "./egress-request.ts";
import type { EgressOrigin, EgressSession } from "./egress-session.ts";
import { parseTunnelTarget } from "./egress-target.ts";
import { openTunnel } from "./egress-tunnel.ts";
import { createRefusalQuota, type RefusalQuota } from "./refusal-quota.ts";

/** Open connections of one program. */
const CONNECTIONS = 64;
/** Requests of one program under way at once; each may have its body in memory. */
const REQUESTS = 32;
/** The longest path of a unix socket, on the system with the shortest (macOS). */
const SOCKET_PATH_BYTES = 103;

export interface EgressProxyDeps extends EgressRequestDeps {
  readonly audit: AuditLog;
  /** For the sockets; made, and closed to other accounts. */
  readonly folder: string;
  readonly now: () => Date;
  readonly fault: (error: unknown, requestId: string) => void;
}

/** The way out of one program. */
export interface OpenEgress {
  /** Path of the unix socket on which the proxy listens. */
  readonly socket: string;
  /** PEM of the authority that the program must trust; its key is in this process's memory alone. */
  readonly caPem: string;
  /** Cuts every connection and removes the socket. */
  close(): Promise<void>;
}

export interface EgressProxy {
  /** Opens a way out for one program. @throws {Problem} `upstream_unreachable` when the socket cannot be made. */
  open(session: EgressSession): Promise<OpenEgress>;
}

/**
 * The egress proxy: the only exit of a program in a sandbox.
 *
 * An HTTP proxy on a unix socket per program. Tunnels end in it, at TLS with an authority of that program alone, so that
 * each request is read, decided on, recorded and sent by the broker like any other call. Nothing passes that is not
 * HTTP/1.1 to a declared place; there is no listener on TCP.
 */
export function createEgressProxy(deps: EgressProxyDeps): EgressProxy {
  const quota = createRefusalQuota(deps);
  return {
    async open(session) {
      const program = new ProgramProxy(deps, session, quota);
      await program.listen();
      return program;
    },
  };
}

class ProgramProxy implements OpenEgress {
  readonly socket: string;
  readonly #deps: EgressProxyDeps;
  readonly #session: EgressSession;
  /** Of all programs: one that is started over and over has the quota of one. */
  readonly #quota: RefusalQuota;
  readonly #authority: EgressAuthority;
  readonly #server: Server;
  /** Connections that are tunnels, and where they lead. */
  readonly #tunnels = new WeakMap<Duplex, EgressOrigin>();
  readonly #sockets = new Set<Socket>();
  #requests = 0;

  constructor(deps: EgressProxyDeps, session: EgressSession, quota: RefusalQuota) {
    this.#deps = deps;
    this.#session = session;
    this.#quota = quota;
    this.#authority = createEgressAuthority(deps.now());
    this.socket = join(deps.folder, `e${randomBytes(8).toString("hex")}`);
    this.#server = createServer(HTTP_SERVER_OPTIONS, (request, response) => void this.#request(request, response));
    this.#server.maxConnections = CONNECTIONS;
    this.#server.maxHeadersCount = HEADERS_COUNT;
    this.#server.on("connection", (socket: Socket) => this.#keep(socket));
    this.#server.on("connect", (request, socket: Socket, head) => void this.#connect(request, socket, head));
    this.#server.on("checkExpectation", (request, response) => void this.#request(request, response));
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket) => void this.#broken(error, socket));
  }

  get caPem(): string {
    return this.#authority.certificate;
  }

  async listen(): Promise<void> {
    if (Buffer.byteLength(this.socket) > SOCKET_PATH_BYTES) {
      throw new Problem("upstream_unreachable", {
        reason: `the path of the proxy's socket is too long: ${this.socket}`,
      });
    }
    mkdirSync(this.#deps.folder, { recursive: true, mode: 0o700 });
    chmodSync(this.#deps.folder, 0o700);
    this.#server.listen(this.socket);
    try {
      await once(this.#server, "listening");
    } catch (error) {
      throw new Problem("upstream_unreachable", { reason: "the proxy's socket cannot be listened on", cause: error });
    }
    chmodSync(this.socket, 0o600);
    this.#server.on("error", () => {});
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    // Not waited for: an end, by a kill perhaps, does not hang on a disk that is slow.
    void this.#quota.flush(this.#session.principal.agent);
    await closed;
    rmSync(this.socket, { force: true });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = newId("req");
    const tunnel = this.#tunnels.get(request.socket);
    this.#requests += 1;
    response.on("close", () => {
      this.#requests -= 1;
    });
    try {
      if (this.#requests > REQUESTS) throw crowded();
      await handleEgressRequest(this.#deps, this.#session, { request, response, requestId }, tunnel);
    } catch (error) {
      const problem = await this.#recorded(error, requestId, { target: request.url, tunnel });
      this.#deps.refuse(request, response, problem, requestId);
    }
  }

  async #connect({ url = "" }: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const requestId = newId("req");
    socket.on("error", () => socket.destroy());
    let granted = false;
    try {
      if (this.#tunnels.has(socket))
        throw new Problem("method_not_allowed", { detail: "there is no tunnel in a tunnel" });
      const { host, port } = parseTunnelTarget(url);
      const secure = this.#session.route({ protocol: "https:", host, port }) !== undefined;
      const plain = this.#session.route({ protocol: "http:", host, port }) !== undefined;
      if (!secure && !plain) throw undeclared(this.#session, { protocol: "https:", host, port });
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      granted = true;
      if (head.length > 0) socket.unshift(head);
      const use = { authority: this.#authority, now: this.#deps.now() };
      const { stream, origin } = await openTunnel(socket, { host, port, plain, secure }, use);
      this.#tunnels.set(stream, origin);
      this.#server.emit("connection", stream);
      // It was paused to look at its first byte.
      stream.resume();
    } catch (error) {
      const problem = await this.#recorded(error, requestId, { target: url, tunnel: undefined });
      this.#session.refused?.(problem);
      if (granted) socket.destroy();
      else refuseSocket(socket, problem, requestId);
    }
  }

  /** What is not HTTP/1.1: too long a head, another protocol, a request that does not end. */
  async #broken(error: NodeJS.ErrnoException, socket: Duplex): Promise<void> {
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    const requestId = newId("req");
    const what = new Problem(error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "request_timeout" : "invalid_request", {
      detail: "the request is not valid HTTP/1.1, or did not arrive in time",
      reason: `not a request: ${error.code ?? "unknown"}`,
    });
    const problem = await this.#recorded(what, requestId, { target: undefined, tunnel: this.#tunnels.get(socket) });
    refuseSocket(socket, problem, requestId);
  }

  /** Puts on record what the broker never saw, within the quota. @returns What to answer; never rejects. */
  async #recorded(
    error: unknown,
    requestId: string,
    { target, tunnel }: { readonly target: string | undefined; readonly tunnel: EgressOrigin | undefined },
  ): Promise<Problem> {
    const problem = error instanceof Problem ? error : new Problem("internal_error", { cause: error });
    if (problem !== error) this.#deps.fault(error, requestId);
    const { name, principal, by } = this.#session;
    const log = { append: (event: AuditEvent) => this.#quota.record(principal.agent, event) };
    try {
      await recordRefusal(log, {
        requestId,
        principal,
        door: "egress",
        code: problem.code,
        reason: problem.reason ?? problem.message,
        ...(by === "server" ? { service: name } : {}),
        ...(problem.fields.rule === undefined ? {} : { rules: [problem.fields.rule] }),
        egress: {
          target: tunnel === undefined ? withoutQuery(target) : `${tunnel.protocol}//${tunnel.host}:${tunnel.port}`,
          during: this.#session.during(),
        },
      });
      return problem;
    } catch (lost) {
      return lost instanceof Problem ? lost : new Problem("audit_unavailable", { cause: lost });
    }
  }
}

function crowded(): Problem {
  return new Problem("rate_limited", {
    detail: "too many requests of this program are under way",
    fields: { retry_after: 1 },
  });
}

const MAX_RECORDED_CHARACTERS = 256;

/** A query may hold what nobody should read later. */
function withoutQuery(target: string | undefined): string | undefined {
  return target?.split(/[?#]/, 1)[0]?.slice(0, MAX_RECORDED_CHARACTERS);
}
