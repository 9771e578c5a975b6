import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import {
  createServer as createPlainServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect as connectSocket, createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { Secret } from "../base/secret.ts";
import { stageBroker } from "../broker/broker.testing.ts";
import { createBroker } from "../broker/create-broker.ts";
import type { EnvCredentialConfig, HostPort, OperationConfig } from "../config/schema.ts";
import { makePlaceholder, watchPlaceholder } from "../credentials/placeholder.ts";
import { issueCertificate, makeAuthority } from "../egress/certificates.testing.ts";
import { testEgress } from "../egress/egress.testing.ts";
import { refuseRequest } from "../http/refuse-request.ts";
import { ResponseSink } from "../http/response-sink.ts";
import { mcpService, type Rules, stdioServer } from "../policy/policy.testing.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import { serverPrincipal } from "../upstreams/server-principal.ts";
import { createEgressProxy, type OpenEgress } from "./egress-proxy.ts";
import type { EgressSession } from "./egress-session.ts";

/** The key of the service `tool`; no program may ever see it. */
export const KEY = "ghp_9fQ2mZx7LrT4vB8nKc3WdJ6sHy1PaE5uRtGo";

const ROOT = makeAuthority("test root");

/** What an upstream saw of one request. */
export interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** An upstream that echoes all that it saw, its headers in a header too. `api.test` resolves to it. */
export async function startUpstream(
  t: TestContext,
  protocol: "http:" | "https:" = "https:",
  answer: (seen: Seen, response: ServerResponse) => void = echo,
) {
  const seen: Seen[] = [];
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method, url, headers } = request;
      const entry = { method, url, headers, body: Buffer.concat(chunks).toString() };
      seen.push(entry);
      answer(entry, response);
    });
  };
  const server: Server =
    protocol === "http:"
      ? createPlainServer(handler)
      : (createTlsServer(issueCertificate(ROOT, "api.test"), handler) as unknown as Server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

function echo(seen: Seen, response: ServerResponse): void {
  const { url = "", headers } = seen;
  response.setHeader("x-echo", String(headers.authorization ?? ""));
  if (url.startsWith("/redirect")) {
    response.statusCode = 302;
    response.setHeader("location", "https://elsewhere.test/x");
  }
  response.end(JSON.stringify({ hello: url, ...seen }));
}

export interface RigOptions {
  readonly hosts: readonly HostPort[];
  readonly network?: readonly HostPort[];
  readonly place?: EnvCredentialConfig["place"];
  readonly operations?: readonly OperationConfig[];
  readonly rules?: Omit<Rules, "services">;
  readonly requestBytes?: number;
}

/** A proxy for the service `tool`, before a real broker and a real way out. */
export async function openRig(t: TestContext, options: RigOptions) {
  const { hosts, network = [], place = "header", operations = [], rules = {}, requestBytes = 1_048_576 } = options;
  const config = mcpService("tool", operations, {
    private: true,
    server: stdioServer({ network }),
    credential: { kind: "env", name: "TOKEN", secret: "local:tool", hosts, place, file: undefined },
    limits: { timeoutMs: 5_000, requestBytes, responseBytes: 1_048_576, rate: undefined },
  });
  const staged = stageBroker({ ...rules, services: [config] });
  const withRoot = ({ services, ...snapshot }: Snapshot): Snapshot => ({
    ...snapshot,
    services: new Map([...services].map(([name, service]) => [name, { ...service, ca: ROOT.cert }])),
  });
  const leases: { origin: string }[] = [];
  const lease = { secret: new Secret(KEY), version: "1", expiresAt: new Date("2030-01-01"), short: false };
  const broker = createBroker({
    ...staged.deps,
    snapshot: () => withRoot(staged.deps.snapshot()),
    egress: testEgress(t, { resolve: async () => ["127.0.0.1"] }),
    vault: {
      async lease(_, pairing) {
        leases.push(pairing);
        return lease;
      },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), "egress-"));
  const placeholder = watchPlaceholder(makePlaceholder(lease.secret));
  const faults: unknown[] = [];
  const proxy = createEgressProxy({
    broker,
    audit: staged.deps.audit,
    folder,
    now: () => new Date(),
    createSink: (response, requestId, refuse) => new ResponseSink(response, requestId, refuse),
    refuse: refuseRequest,
    fault: (error) => void faults.push(error),
  });
  const session: EgressSession = {
    name: "tool",
    principal: serverPrincipal(config),
    by: "server",
    placeholder,
    during: () => ["req_tool_call"],
    route({ protocol, host, port }) {
      const declared = [...hosts, ...network].some((at) => at.host === host && at.port === port);
      if (!declared || (protocol === "http:" && !config.private)) return undefined;
      return { service: "tool", basePath: "", requestBytes };
    },
  };
  const open = await proxy.open(session);
  t.after(async () => {
    await open.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { ...staged, open, folder, placeholder: placeholder.value, leases, faults, session, proxy };
}

export interface ProxiedAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface ProxiedRequest {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
  /** Where they are to differ from the url's host: tricks. */
  readonly sni?: string;
  readonly host?: string;
  readonly path?: string;
}

/** One request through the proxy, as an HTTP client makes it: a tunnel, TLS with the program's authority, HTTP/1.1. */
export async function through(open: OpenEgress, url: string, parts: ProxiedRequest = {}): Promise<ProxiedAnswer> {
  const { protocol, hostname, port, pathname, search } = new URL(url);
  const authority = `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;
  const socket = await openConnect(open.socket, authority);
  const stream =
    protocol === "http:"
      ? socket
      : connectTls({ socket, ca: open.caPem, servername: parts.sni ?? hostname, checkServerIdentity: () => undefined });
  if (protocol === "https:") await once(stream, "secureConnect");
  const { method = "GET", headers = {}, body, path = pathname + search, host = authority } = parts;
  const request = httpRequest({
    createConnection: () => stream,
    method,
    path,
    headers: {
      host,
      connection: "close",
      ...headers,
      ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
    },
  });
  request.end(body);
  request.on("socket", (taken) => taken.resume());
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  socket.destroy();
  return { status: response.statusCode ?? 0, headers: response.headers, body: text };
}

/** Asks for a tunnel. Rejects with the status and the problem's text when there is none. */
export async function openConnect(path: string, authority: string): Promise<Socket> {
  const socket = connectSocket(path);
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  let head = "";
  for (;;) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    head += chunk.toString("latin1");
    if (!head.includes("\r\n\r\n")) continue;
    socket.pause();
    if (head.startsWith("HTTP/1.1 200")) return socket;
    socket.destroy();
    throw new Error(head);
  }
}

/** Lets TCP clients such as curl reach the unix socket. */
export async function bridge(t: TestContext, path: string): Promise<number> {
  const server = createTcpServer((socket) => {
    const peer = connectSocket(path);
    socket.on("error", () => peer.destroy());
    peer.on("error", () => socket.destroy());
    socket.pipe(peer).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}
