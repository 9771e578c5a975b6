import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { sendProblem } from "../base/send-problem.ts";
import { NOON, principal } from "../policy/policy.testing.ts";
import { type Script, type StagedServers, stageFace } from "./face.testing.ts";
import { createMcpEndpoint } from "./http-endpoint.ts";
import { createSessions } from "./sessions.ts";

const VERSION = "io.modelcontextprotocol/protocolVersion";
export const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const CONTENT = { "content-type": "application/json", accept: "application/json, text/event-stream" };

/** The endpoint on a loopback port; the header `x-agent` stands for a checked token. */
export async function serve(t: TestContext, script?: Script, servers?: StagedServers) {
  const face = stageFace(script, servers);
  const ended: string[] = [];
  const refused: string[] = [];
  const sessions = createSessions((id) => void ended.push(id));
  const endpoint = createMcpEndpoint({
    dispatch: face.dispatch,
    sessions,
    now: () => NOON,
    serves: face.serves,
    async refused(_, reason) {
      refused.push(reason);
    },
  });
  const server = createServer((request, response) => {
    const [agent = "bot", client = "key_1"] = `${request.headers["x-agent"] ?? "bot key_1"}`.split(" ");
    const service = /^\/mcp\/(.*)$/.exec(request.url ?? "")?.[1];
    endpoint(request, response, { principal: principal({ agent, client }), requestId: "req_1", service }).catch(
      (error: unknown) => {
        if (error instanceof Problem) sendProblem(response, error, "req_1");
        else response.destroy();
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    face.subscriptions.endAll();
    sessions.endAll();
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const post = (path: string, message: JsonObject, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    fetch(base + path, {
      method: "POST",
      headers: { ...CONTENT, ...headers },
      body: JSON.stringify({ jsonrpc: "2.0", ...message }),
      ...(signal === undefined ? {} : { signal }),
    });
  const open = async (path: string, capabilities: JsonObject = {}, headers: Record<string, string> = {}) => {
    const params = { protocolVersion: "2025-11-25", capabilities, clientInfo: { name: "c", version: "1" } };
    const response = await post(path, { id: 0, method: "initialize", params }, headers);
    await response.arrayBuffer();
    return { "mcp-session-id": response.headers.get("mcp-session-id") ?? "" };
  };
  return { ...face, base, post, open, sessions, ended, refused };
}

/** A message of the stateless revision, with the headers that belong to it. */
export function modern(method: string, params: JsonObject, meta: JsonObject = {}) {
  const name = params["name"] ?? params["uri"];
  return {
    message: {
      id: 5,
      method,
      params: { ...params, _meta: { [VERSION]: "2026-07-28", [CAPABILITIES]: {}, ...meta } },
    },
    headers: {
      ...CONTENT,
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(name === undefined ? {} : { "mcp-name": `${name}` }),
    },
  };
}

/** Reads the events of a stream one by one. */
export function eventsOf(response: Response) {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let buffered = "";
  return async (): Promise<JsonObject | undefined> => {
    for (;;) {
      const end = buffered.indexOf("\n\n");
      if (end !== -1) {
        const event = buffered.slice(0, end);
        buffered = buffered.slice(end + 2);
        const data = /^data: (.*)$/m.exec(event)?.[1];
        if (data !== undefined) return JSON.parse(data) as JsonObject;
        continue;
      }
      const { value, done } = await reader.read();
      if (done) return undefined;
      buffered += value;
    }
  };
}
