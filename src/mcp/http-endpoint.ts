import type { IncomingMessage, ServerResponse } from "node:http";
import { letGoWhenStalled } from "../base/let-go-when-stalled.ts";
import { Problem } from "../base/problem.ts";
import { readBody } from "../base/read-body.ts";
import { sendProblem } from "../base/send-problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { Principal } from "../identity/principal.ts";
import { AnswerWatch } from "./answer-watch.ts";
import { capabilitiesOf } from "./create-relay.ts";
import type { Dispatch } from "./dispatch.ts";
import { classify, LEGACY_VERSIONS } from "./era.ts";
import { acceptsEvents, openEventStream } from "./event-stream.ts";
import {
  errorMessage,
  parseMessage,
  type RequestId,
  RPC,
  RpcError,
  type RpcMessage,
  type RpcRequest,
  resultMessage,
  WrittenResult,
} from "./json-rpc.ts";
import { RunningCalls } from "./running-calls.ts";
import type { Session, Sessions } from "./sessions.ts";

/** One MCP message over HTTP; a service's own request limit comes after it. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
const MAX_MESSAGE_DEPTH = 64;
/** Keys and values of one message: what a person or a model writes, and no more than a moment's work. */
const MAX_MESSAGE_VALUES = 100_000;
/** Calls under way in one session. */
const MAX_RUNNING_PER_SESSION = 1_024;

export interface McpEndpointDeps {
  readonly dispatch: Dispatch;
  /** Whether there is an MCP server of this name that the caller may know of: `/mcp/SERVICE`. */
  readonly serves: (service: string, principal: Principal) => boolean;
  readonly sessions: Sessions;
  readonly now: () => Date;
  /** Puts on record what is no message that can be dispatched. @throws {Problem} `audit_unavailable`. */
  readonly refused: (
    caller: { readonly principal: Principal; readonly requestId: string },
    reason: string,
  ) => Promise<void>;
}

/** Who asks, and at which door: `service` is that of `/mcp/SERVICE`. */
export interface McpCaller {
  readonly principal: Principal;
  readonly requestId: string;
  readonly service?: string | undefined;
}

/** Serves `/mcp` and `/mcp/SERVICE` to one authenticated request, in both eras (Streamable HTTP). */
export type McpEndpoint = (request: IncomingMessage, response: ServerResponse, caller: McpCaller) => Promise<void>;

export function createMcpEndpoint(deps: McpEndpointDeps): McpEndpoint {
  const others = async (request: IncomingMessage, response: ServerResponse, caller: McpCaller): Promise<void> => {
    switch (request.method) {
      case "GET":
        return openStream(deps, request, response, caller);
      case "DELETE":
        return endSession(deps, request, response, caller);
      default:
        sendProblem(response, new Problem("method_not_allowed"), caller.requestId, { allow: "POST, GET, DELETE" });
    }
  };
  return (request, response, caller) => {
    const { principal, service } = caller;
    if (service !== undefined && !deps.serves(service, principal))
      return Promise.reject(new Problem("unknown_service"));
    return request.method === "POST" ? post(deps, request, response, caller) : others(request, response, caller);
  };
}

async function post(
  deps: McpEndpointDeps,
  request: IncomingMessage,
  response: ServerResponse,
  { principal, requestId, service }: McpCaller,
): Promise<void> {
  // INVARIANT: only JSON, so that no web page can post here without a preflight that it will not pass.
  const type = request.headers["content-type"];
  if (type === undefined || !/^application\/json\s*(;|$)/i.test(type)) {
    throw new Problem("invalid_request", { detail: "the content-type must be application/json" });
  }
  if (request.headers["content-encoding"] !== undefined) throw new Problem("unsupported_encoding");
  const body = await readBody(request, MAX_MESSAGE_BYTES);
  let id: RequestId | undefined;
  try {
    const parsed = parseStrictJson(body ?? "", { depth: MAX_MESSAGE_DEPTH, values: MAX_MESSAGE_VALUES });
    if (!parsed.ok) throw new RpcError(RPC.parseError, `not acceptable JSON: ${parsed.problem}`, { status: 400 });
    const message = parseMessage(parsed.value);
    if (message.kind === "request") id = message.id;
    const era = classify(message, {
      version: single(request, "mcp-protocol-version"),
      method: single(request, "mcp-method"),
      name: single(request, "mcp-name"),
    });
    if (era === "modern") {
      if (message.kind !== "request") return accepted(response, requestId);
      // Modern clients cancel by closing the connection.
      const signal = new AnswerWatch(response);
      const { whenSent } = signal;
      const { lossy } = parsed;
      const context = { era, principal, requestId, signal, lossy, whenSent, service, request, response };
      const result = await deps.dispatch(message, context);
      const text = resultMessage(message.id, result);
      const isPlain = result instanceof WrittenResult && result.ascii && typeof message.id === "number";
      return sendMessage(response, 200, text, requestId, undefined, isPlain ? text.length : undefined);
    }
    await legacy(deps, { request, response, principal, requestId, service, message, lossy: parsed.lossy });
  } catch (error) {
    // It was decided and recorded as a call; what is left is to say so.
    if (error instanceof Problem && error.code === "insufficient_scope") return sendProblem(response, error, requestId);
    if (!(error instanceof RpcError)) throw error;
    if (error.status === 400 && !error.judged) await deps.refused({ principal, requestId }, error.message);
    sendMessage(response, error.status, errorMessage(id, error), requestId);
  }
}

interface LegacyPost extends McpCaller {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly message: RpcMessage;
  readonly lossy: boolean;
}

async function legacy(deps: McpEndpointDeps, post: LegacyPost): Promise<void> {
  const { request, response, principal, requestId, service, message, lossy } = post;
  if (message.kind === "request" && message.method === "initialize") return initialize(deps, post, message);
  const session = findSession(deps, request, post);
  if (message.kind === "answer") {
    session.pending?.answer(message);
    return accepted(response, requestId);
  }
  if (message.kind === "notification") {
    if (message.method === "notifications/cancelled") {
      session.running?.get(message.params["requestId"] as RequestId)?.abort();
    }
    return accepted(response, requestId);
  }
  const controller = begin(session, message.id);
  try {
    const { whenSent } = new AnswerWatch(response);
    const { signal } = controller;
    const who = { era: "legacy", principal, requestId, service, session } as const;
    const result = await deps.dispatch(message, { ...who, signal, lossy, whenSent, request, response });
    sendMessage(response, 200, resultMessage(message.id, result), requestId);
  } finally {
    session.running?.delete(message.id);
  }
}

/** Opens a session first, so that a server which is asked for its introduction knows whom it will speak with. */
async function initialize(deps: McpEndpointDeps, post: LegacyPost, message: RpcRequest): Promise<void> {
  const { request, response, principal, requestId, service, lossy } = post;
  const capabilities = capabilitiesOf(message.params["capabilities"]);
  const session = deps.sessions.create(principal, deps.now().getTime(), { scope: service, capabilities });
  try {
    const who = { era: "legacy", principal, requestId, service, session } as const;
    const { whenSent } = new AnswerWatch(response);
    const result = await deps.dispatch(message, { ...who, signal: undefined, lossy, whenSent, request, response });
    sendMessage(response, 200, resultMessage(message.id, result), requestId, session.id);
  } catch (error) {
    deps.sessions.end(session);
    throw error;
  }
}

function begin(session: Session, id: RequestId): AbortController {
  session.running ??= new RunningCalls();
  if (session.running.has(id))
    throw new RpcError(RPC.invalidRequest, "a request with this id is under way", { status: 400 });
  if (session.running.size >= MAX_RUNNING_PER_SESSION) {
    throw new Problem("rate_limited", {
      detail: "too many calls are under way in this session",
      fields: { retry_after: 1 },
    });
  }
  const controller = new AbortController();
  session.running.set(id, controller);
  return controller;
}

function findSession(deps: McpEndpointDeps, request: IncomingMessage, { principal, service }: McpCaller): Session {
  const version = single(request, "mcp-protocol-version");
  if (version !== undefined && !LEGACY_VERSIONS.includes(version)) {
    throw new RpcError(RPC.invalidRequest, "the MCP-Protocol-Version header names no revision that is served here", {
      status: 400,
      data: { supported: [...LEGACY_VERSIONS] },
    });
  }
  const id = single(request, "mcp-session-id");
  if (id === undefined) {
    throw new RpcError(RPC.invalidRequest, "the Mcp-Session-Id header is missing: send `initialize` first", {
      status: 400,
    });
  }
  const session = deps.sessions.find(id, principal, deps.now().getTime());
  if (session === undefined || session.scope !== service)
    throw new RpcError(RPC.sessionNotFound, "there is no such session", { status: 404 });
  return session;
}

async function openStream(
  deps: McpEndpointDeps,
  request: IncomingMessage,
  response: ServerResponse,
  caller: McpCaller,
): Promise<void> {
  const { requestId } = caller;
  if (!acceptsEvents(request)) {
    return sendProblem(response, new Problem("method_not_allowed"), requestId, { allow: "POST, DELETE" });
  }
  if (single(request, "mcp-session-id") === undefined) {
    return sendProblem(response, new Problem("method_not_allowed"), requestId, { allow: "POST" });
  }
  try {
    const session = findSession(deps, request, caller);
    session.closeStream?.();
    const stream = openEventStream(response, requestId);
    session.closeStream = stream.close;
    session.push = stream.send;
    response.on("close", () => {
      if (session.closeStream !== stream.close) return;
      session.closeStream = undefined;
      session.push = undefined;
    });
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    sendMessage(response, error.status, errorMessage(undefined, error), requestId);
  }
}

async function endSession(
  deps: McpEndpointDeps,
  request: IncomingMessage,
  response: ServerResponse,
  caller: McpCaller,
): Promise<void> {
  const { requestId } = caller;
  try {
    deps.sessions.end(findSession(deps, request, caller));
    response.writeHead(200, { "content-length": 0, "doorward-request-id": requestId }).end();
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    sendMessage(response, error.status, errorMessage(undefined, error), requestId);
  }
}

/** A header that may stand once; a repeated one is joined by Node and then agrees with nothing. */
function single(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value?.trim();
}

function accepted(response: ServerResponse, requestId: string): void {
  response.writeHead(202, { "content-length": 0, "doorward-request-id": requestId }).end();
}

function sendMessage(
  response: ServerResponse,
  status: number,
  message: string,
  requestId: string,
  session?: string,
  bytes = Buffer.byteLength(message),
): void {
  if (response.destroyed || response.writableEnded) return;
  // An upstream spoke meanwhile, so that the answer became a stream: it ends with the message.
  if (response.headersSent) {
    response.end(`event: message\ndata: ${message}\n\n`);
    letGoWhenStalled(response);
    return;
  }
  const headers = ["content-type", "application/json", "content-length", String(bytes), "cache-control", "no-store"];
  headers.push("doorward-request-id", requestId);
  if (session !== undefined) headers.push("mcp-session-id", session);
  response.writeHead(status, headers);
  // Node writes a text in one piece with its head; plain ASCII needs no encoding.
  response.end(message, bytes === message.length ? "latin1" : "utf8");
  letGoWhenStalled(response);
}
