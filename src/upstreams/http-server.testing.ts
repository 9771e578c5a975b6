import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { createMcpHandler, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import { makeServer } from "./dual-era-server.testing.ts";

/** One request as a server over HTTP got it. */
export interface SeenRequest {
  readonly method: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

type Fetch = (request: Request) => Promise<Response>;

/** A server by the SDK: `modern` alone, or `legacy` with sessions. */
export async function serveMcp(t: TestContext, era: "modern" | "legacy") {
  return serve(
    t,
    era === "modern" ? (request) => createMcpHandler(makeServer, { legacy: "reject" }).fetch(request) : sessionful(),
  );
}

/** Serves whatever the test answers. */
export async function serve(t: TestContext, answer: Fetch) {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => void relay(request, response, answer, seen));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** Sessions of the older revisions, kept in memory. */
export function sessionful(): Fetch {
  const transports = new Map<string, WebStandardStreamableHTTPServerTransport>();
  return async (request) => {
    const known = transports.get(request.headers.get("mcp-session-id") ?? "");
    if (known !== undefined) return known.handleRequest(request);
    const made = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void transports.set(id, made),
    });
    if (request.headers.has("mcp-session-id")) return new Response("no such session", { status: 404 });
    await makeServer().connect(made);
    return made.handleRequest(request);
  };
}

async function relay(request: IncomingMessage, response: ServerResponse, answer: Fetch, seen: SeenRequest[]) {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString();
  seen.push({ method: request.method!, headers: request.headers, body });
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value));
  const hasBody = request.method === "POST";
  const answered = await answer(
    new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method!,
      headers,
      ...(hasBody ? { body } : {}),
    }),
  );
  response.writeHead(answered.status, Object.fromEntries(answered.headers));
  response.flushHeaders();
  try {
    for await (const chunk of answered.body ?? []) {
      if (response.destroyed) break;
      if (!response.write(chunk)) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } catch {
    response.destroy();
  }
  response.end();
}
