import { type BenchHome, MODERN_META } from "./doorward.ts";
import { type LoadRequest, probe } from "./load.ts";
import type { Program } from "./processes.ts";
import { SAMPLE_ANSWER, SAMPLE_PATH } from "./sample-answer.ts";

/** One server under test with the request that is put to it. */
export interface Target {
  readonly name: string;
  readonly pid: number;
  readonly request: LoadRequest;
  /** What one right answer weighs on the wire: how refusals among the answers are noticed. */
  readonly wireBytes: number;
}

interface ToolCall {
  readonly name: string;
  readonly arguments: object;
}

const TOOL = "doorward_request";
const ARGUMENTS = { service: "registrar", method: "GET", path: SAMPLE_PATH };

/** A plain GET, as an SDK with another base URL sends it. */
export function apiRequest(base: string, key: string): LoadRequest {
  const headers = { accept: "application/json", authorization: `Bearer ${key}` };
  return { url: `${base}${SAMPLE_PATH}`, method: "GET", headers, body: undefined };
}

/** A tool call of revision 2026-07-28: no session, the envelope in the body, the same facts in headers. */
export function modernRequest(
  base: string,
  key: string,
  call: ToolCall = { name: TOOL, arguments: ARGUMENTS },
): LoadRequest {
  const params = { ...call, _meta: MODERN_META };
  return {
    url: `${base}/mcp`,
    method: "POST",
    headers: {
      ...mcpHeaders(key),
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": call.name,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params }),
  };
}

/** A tool call inside a session of revision 2025-11-25; each has an id of its own. */
export async function legacyRequest(base: string, key: string): Promise<LoadRequest> {
  const url = `${base}/mcp`;
  const initialize = {
    jsonrpc: "2.0",
    id: 0,
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "bench", version: "1" } },
  };
  const opened = await probe({ url, method: "POST", headers: mcpHeaders(key), body: JSON.stringify(initialize) });
  const session = opened.headers["mcp-session-id"];
  if (typeof session !== "string") throw new Error(`no session was opened: ${opened.text}`);
  const params = JSON.stringify({ name: TOOL, arguments: ARGUMENTS });
  return {
    url,
    method: "POST",
    headers: { ...mcpHeaders(key), "mcp-protocol-version": "2025-11-25", "mcp-session-id": session },
    body: `{"jsonrpc":"2.0","id":COUNT,"method":"tools/call","params":${params}}`,
  };
}

/** Asks once and looks at the answer: what is not a right answer must not be measured. */
export async function makeTarget(name: string, program: Program, request: LoadRequest): Promise<Target> {
  const { status, text, wireBytes } = await probe(request);
  const isRight = text === SAMPLE_ANSWER || text.includes(JSON.stringify(SAMPLE_ANSWER));
  if (status !== 200 || !isRight) throw new Error(`${name} answered ${status}: ${text.slice(0, 500)}`);
  return { name, pid: program.pid, request, wireBytes };
}

/** The same request to all of Doorward's doors. */
export async function doorwardTargets(
  daemon: Program,
  { key }: BenchHome,
): Promise<{ api: Target; modern: Target; legacy: Target }> {
  return {
    api: await makeTarget("doorward /api", daemon, apiRequest(`${daemon.url}/api/registrar`, key)),
    modern: await makeTarget("doorward /mcp, 2026-07-28", daemon, modernRequest(daemon.url, key)),
    legacy: await makeTarget("doorward /mcp, 2025-11-25 with a session", daemon, await legacyRequest(daemon.url, key)),
  };
}

function mcpHeaders(key: string): Record<string, string> {
  return {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    authorization: `Bearer ${key}`,
  };
}
