import type { IncomingMessage, ServerResponse } from "node:http";
import type { Cancellation } from "../base/cancellation.ts";
import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { isStranger, MAX_CONTEXT_CHARACTERS, type Principal, withStated } from "../identity/principal.ts";
import type { ClientSession } from "./client-session.ts";
import type { Era } from "./era.ts";
import { LEGACY_VERSIONS, MODERN_VERSIONS } from "./era.ts";
import { RPC, RpcError, type RpcRequest, WrittenResult } from "./json-rpc.ts";
import { isAscii, isStepUp, refusal, type Tool, type ToolResult } from "./tool.ts";

export interface ServerIdentity {
  readonly name: string;
  readonly version: string;
}

/** One request's circumstances. The optional parts say how its client is reached beside the answer itself. */
export interface DispatchContext {
  readonly era: Era;
  readonly principal: Principal;
  readonly requestId: string;
  readonly signal: Cancellation | undefined;
  readonly lossy: boolean;
  readonly whenSent: (then: () => void) => void;
  /** The service of `/mcp/SERVICE`; absent at `/mcp`. */
  readonly service?: string | undefined;
  /** Of clients that keep one. */
  readonly session?: ClientSession | undefined;
  /** Over HTTP alone. */
  readonly request?: IncomingMessage | undefined;
  readonly response?: ServerResponse | undefined;
}

/** Carries out one request and gives its `result`. */
export type Dispatch = (request: RpcRequest, context: DispatchContext) => Promise<object> | object;

const INSTRUCTIONS =
  "Doorward reaches APIs on your behalf and adds the credentials itself; you never need a key. " +
  "Start with doorward_services to see what you may use, call it with doorward_request, and read the `error` of a refusal: " +
  "its remedy says what to do next. A call that needs a person's approval is repeated unchanged once it was approved.";

/** How long a client may keep a list, in milliseconds: a minute, since rules change while agents run. */
const LIST_TTL_MS = 60_000;

const CAPABILITIES = { tools: {} };

/**
 * Makes the protocol core: one function from request to result, the same for every transport.
 *
 * @param tools - In the order in which they are listed.
 * @param fault - Told of errors that are ours.
 */
export function createDispatch(
  server: ServerIdentity,
  tools: readonly Tool[],
  fault: (error: unknown, requestId: string) => void,
): Dispatch {
  const byName = new Map(tools.map((tool) => [tool.definition.name, tool]));
  const definitions = tools.map(({ definition }) => definition);
  const meta = { "io.modelcontextprotocol/serverInfo": server };
  const cacheable = { ttlMs: LIST_TTL_MS, cacheScope: "private" };
  const finish = (era: Era, result: object, extra: object = {}) =>
    era === "modern" ? { ...result, resultType: "complete", ...extra, _meta: meta } : result;
  const complete = `,"resultType":"complete","_meta":${JSON.stringify(meta)}`;
  const completeIsAscii = isAscii(complete);
  const finishCall = (era: Era, result: ToolResult) => {
    if (result.written === undefined) return finish(era, result);
    const { json, ascii } = result.written();
    return new WrittenResult(`{${json}${era === "modern" ? complete : ""}}`, ascii && completeIsAscii);
  };

  return (request, context) => {
    const { era } = context;
    switch (request.method) {
      case "tools/call":
        return call(byName, request.params, context, fault).then((result) => finishCall(era, result));
      case "tools/list":
        if (request.params["cursor"] !== undefined) throw new RpcError(RPC.invalidParams, "there is no such page");
        // A client that nobody adopted may do nothing, and is not to keep that for long.
        if (isStranger(context.principal)) return finish(era, { tools: [] }, { ...cacheable, ttlMs: 0 });
        return finish(era, { tools: definitions }, cacheable);
      case "initialize":
        if (era === "modern") break;
        return initialize(server, request.params);
      case "ping":
        if (era === "modern") break;
        return {};
      case "server/discover":
        if (era === "legacy") break;
        return finish(
          era,
          { supportedVersions: MODERN_VERSIONS, capabilities: CAPABILITIES, instructions: INSTRUCTIONS },
          cacheable,
        );
    }
    throw new RpcError(RPC.methodNotFound, `there is no method \`${request.method.slice(0, 64)}\``, {
      status: era === "modern" ? 404 : 200,
    });
  };
}

function initialize(server: ServerIdentity, params: JsonObject): object {
  const asked = params["protocolVersion"];
  if (typeof asked !== "string") throw new RpcError(RPC.invalidParams, "`protocolVersion` is missing");
  return {
    protocolVersion: LEGACY_VERSIONS.includes(asked) ? asked : LEGACY_VERSIONS[0],
    capabilities: CAPABILITIES,
    serverInfo: server,
    instructions: INSTRUCTIONS,
  };
}

async function call(
  tools: ReadonlyMap<string, Tool>,
  params: JsonObject,
  context: DispatchContext,
  fault: (error: unknown, requestId: string) => void,
): Promise<ToolResult> {
  const { name, arguments: args = {} } = params;
  if (typeof name !== "string") throw new RpcError(RPC.invalidParams, "`name` must be a string");
  const tool = tools.get(name);
  if (tool === undefined) throw new RpcError(RPC.invalidParams, `there is no tool \`${name.slice(0, 64)}\``);
  if (!isObject(args)) throw new RpcError(RPC.invalidParams, "`arguments` must be an object");
  try {
    const principal = withContext(context.principal, params["_meta"]);
    return await tool.run(args, principal === context.principal ? context : { ...context, principal });
  } catch (error) {
    if (isStepUp(error, context)) throw error;
    if (error instanceof Problem) return refusal(error, context.requestId);
    fault(error, context.requestId);
    return refusal(new Problem("internal_error"), context.requestId);
  }
}

/** The purpose, task, tenant and role that this call states, in `_meta`; whether they are allowed is for the policy. */
export function withContext(principal: Principal, meta: JsonValue | undefined): Principal {
  if (!isObject(meta)) return principal;
  const purpose = contextValue(meta["doorward/purpose"], "doorward/purpose");
  const task = contextValue(meta["doorward/task"], "doorward/task");
  const tenant = contextValue(meta["doorward/tenant"], "doorward/tenant");
  const role = contextValue(meta["doorward/role"], "doorward/role");
  const known = withStated(principal, { tenant, role });
  if (purpose === undefined && task === undefined) return known;
  return { ...known, purpose: purpose ?? principal.purpose, task: task ?? principal.task };
}

function contextValue(value: JsonValue | undefined, name: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && value.length > 0 && value.length <= MAX_CONTEXT_CHARACTERS) return value;
  throw new Problem("invalid_request", {
    detail: `\`_meta\` \`${name}\` must be a text of 1 to ${MAX_CONTEXT_CHARACTERS} characters`,
  });
}
