import { isObject, type JsonObject } from "../base/json.ts";
import { Problem, type ProblemCode } from "../base/problem.ts";
import { problemDocument } from "../base/send-problem.ts";
import { type CollectedAnswer, collectAnswer } from "../broker/collect-answer.ts";
import type { Relay } from "../broker/upstream-call.ts";
import type { McpMethod } from "../request/mcp-call.ts";
import { checkParamHeaders } from "./check-param-headers.ts";
import { type DispatchContext, withContext } from "./dispatch.ts";
import { exposeUris } from "./exposed-uris.ts";
import { type FaceDeps, relayOf } from "./face.ts";
import { finishResult } from "./finish-result.ts";
import { RPC, RpcError } from "./json-rpc.ts";
import type { StateOwner } from "./request-state.ts";
import { isStepUp, refusal } from "./tool.ts";

/** One request to an upstream server, by the upstream's own name of the item. */
export interface ItemCall {
  readonly service: string;
  readonly method: McpMethod;
  readonly name: string;
  readonly arguments: JsonObject;
  /** Of the client's request. */
  readonly params: JsonObject;
}

/** An answer from this size on takes milliseconds to put into a message. */
const LARGE_BYTES = 256 * 1024;

/**
 * Sends one request to an upstream server through the broker, and gives its result in the client's era.
 *
 * @returns For `tools/call` a refusal is an `isError` result.
 * @throws {RpcError} For other methods' refusals, and for what the upstream answered with an error.
 */
export async function callItem(deps: FaceDeps, context: DispatchContext, call: ItemCall): Promise<object> {
  const { requestId, era } = context;
  try {
    const principal = withContext(context.principal, call.params["_meta"]);
    const owner: StateOwner = { ...call, principal };
    const resumed = resume(deps, owner, call.params);
    const { service, method, name, arguments: args } = call;
    const answer = await collectAnswer(
      deps.broker.call,
      {
        requestId,
        door: "mcp",
        principal,
        service,
        raw: { kind: "mcp", method, name, arguments: args, lossy: context.lossy },
        publicBase: undefined,
        relay: {
          ...relayOf(circumstances(context, method), service, call.params, resumed),
          ...headerCheck(context, call),
        },
      },
      { budget: deps.budget, signal: context.signal, whenSent: context.whenSent },
    );
    if (answer.body.length > LARGE_BYTES) await deps.turns.next();
    return toResult(deps, context, owner, readAnswer(answer));
  } catch (error) {
    if (error instanceof RpcError || isStepUp(error, context)) throw error;
    if (!(error instanceof Problem)) deps.fault(error, requestId);
    const problem = error instanceof Problem ? error : new Problem("internal_error");
    if (call.method !== "tools/call") throw asRpcError(problem, requestId);
    const server = deps.server;
    return finishResult({ ...refusal(problem, requestId) }, { era, server });
  }
}

/** Over HTTP a newer client repeats arguments in headers, where a tool says so; only its definition tells which. */
function headerCheck({ request, era }: DispatchContext, call: ItemCall): Pick<Relay, "toolFault"> {
  if (request === undefined || era === "legacy" || call.method !== "tools/call") return {};
  return { toolFault: ({ inputSchema }) => checkParamHeaders(inputSchema, call.arguments, request.headers) };
}

/** A subscription outlives its request: what comes of it belongs to the session. */
function circumstances(context: DispatchContext, method: McpMethod): DispatchContext {
  return method === "resources/subscribe" ? { ...context, request: undefined, response: undefined } : context;
}

/** The result object. @throws {RpcError} when the upstream answered with an error. */
function readAnswer({ head, body, truncated }: CollectedAnswer): JsonObject {
  if (truncated) throw new Problem("upstream_too_large");
  const answer = JSON.parse(body.toString("utf8")) as JsonObject;
  if (head.status === 200) return answer;
  const error = isObject(answer["error"]) ? answer["error"] : {};
  const { code, message, data } = error;
  throw new RpcError(typeof code === "number" ? code : RPC.internalError, String(message ?? "the server failed"), {
    judged: true,
    ...(data === undefined ? {} : { data }),
    ...(code === RPC.missingCapability || code === RPC.headerMismatch ? { status: 400 } : {}),
  });
}

function toResult(deps: FaceDeps, context: DispatchContext, owner: StateOwner, answer: JsonObject): object {
  const { era } = context;
  const result = context.service === undefined ? exposeUris(owner.service, answer) : answer;
  const cache = owner.method === "resources/read" ? { ttlMs: 0 } : undefined;
  const asks = answer["resultType"] === "input_required";
  if (!asks) return finishResult(result, { era, server: deps.server, cache });
  if (era === "legacy")
    throw new Problem("upstream_invalid", { detail: "the server asked for input that cannot be given" });
  const state = typeof answer["requestState"] === "string" ? answer["requestState"] : undefined;
  const sealed = deps.states.seal(owner, state, deps.now());
  if (sealed === undefined)
    throw new Problem("upstream_too_large", { detail: "the server's request state is too long" });
  return finishResult({ ...result, requestState: sealed }, { era, server: deps.server });
}

/**
 * What a client brings when it repeats a call that asked for input. Answers alone are the client's own words, and may
 * come unasked; a state is the server's, and must be what this caller was given for this call.
 *
 * @throws {RpcError} when it is not.
 */
function resume(
  deps: FaceDeps,
  owner: StateOwner,
  { inputResponses, requestState }: JsonObject,
): Pick<Relay, "inputResponses" | "requestState"> {
  if (inputResponses !== undefined && !isObject(inputResponses)) {
    throw new RpcError(RPC.invalidParams, "`inputResponses` must be an object", { status: 400 });
  }
  if (requestState === undefined) return { inputResponses };
  const opened = typeof requestState === "string" ? deps.states.open(owner, requestState, deps.now()) : undefined;
  if (opened === undefined) {
    throw new RpcError(RPC.invalidParams, "the `requestState` is not of this call, or too old: begin anew", {
      status: 400,
    });
  }
  return { inputResponses: inputResponses ?? {}, requestState: opened.state };
}

/** Whose fault a refusal is, as JSON-RPC says it. */
const CALLERS: ReadonlySet<ProblemCode> = new Set<ProblemCode>([
  "invalid_request",
  "not_canonical",
  "denied",
  "killed",
  "unknown_operation",
  "unknown_service",
  "too_large",
  "approval_required",
  "approval_denied",
  "approval_expired",
]);

/** A refusal of a request that has no `isError` result: the contract's fields are in `data`. */
export function asRpcError(problem: Problem, requestId: string): RpcError {
  const { type: _, title: _title, status: _status, detail, ...data } = problemDocument(problem, requestId);
  const code = CALLERS.has(problem.code) ? RPC.invalidParams : RPC.internalError;
  return new RpcError(code, `${problem.code}: ${detail}. ${problem.remedy}`, { data: { ...data, message: detail } });
}
