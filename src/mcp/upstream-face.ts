import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { McpMethod } from "../request/mcp-call.ts";
import { asRpcError, callItem, type ItemCall } from "./call-item.ts";
import { listenFor } from "./collect-surfaces.ts";
import type { Dispatch, DispatchContext } from "./dispatch.ts";
import { MODERN_VERSIONS } from "./era.ts";
import { ownerOfUri } from "./exposed-uris.ts";
import { type FaceDeps, relayOf } from "./face.ts";
import { finishResult } from "./finish-result.ts";
import { RPC, RpcError, type RpcRequest } from "./json-rpc.ts";
import { findMcpService, mcpServicesFor } from "./known-services.ts";
import { ITEM_LISTS, type ItemList, listAll, listOne, refuseCursor } from "./list-items.ts";
import { LOG_LEVELS } from "./log-level.ts";
import { type ResolvedItem, resolveItem } from "./resolve-item.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { FIND_TOOLS } from "./tool-find-tools.ts";

/** How long a client may keep a list, in milliseconds: a minute when it is whole, a moment when a server is missing. */
const LIST_TTL_MS = 60_000;
const PARTIAL_TTL_MS = 1_000;

/** What `/mcp` says that it can do for callers who may use MCP servers; each server's own abilities show when it is used. */
const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
  logging: {},
} as const satisfies JsonObject;

/** Of an upstream's capabilities, those that are relayed. */
const RELAYED = ["tools", "prompts", "resources", "completions", "logging"];

const AGGREGATE_INSTRUCTIONS =
  " Tools of MCP servers are named service__tool; doorward_find_tools searches all of them, also those that are not listed.";

/**
 * Adds the upstream MCP servers to Doorward's own tools: at `/mcp` all of them under names of their own, at
 * `/mcp/SERVICE` one of them with its names untouched and nothing of Doorward's.
 *
 * @param own - Doorward's own protocol core, with all its tools.
 * @param ownTools - Their names; whatever an upstream offers, these are never its.
 */
export function createUpstreamFace(
  deps: FaceDeps,
  subscriptions: Subscriptions,
  own: Dispatch,
  ownTools: ReadonlySet<string>,
): Dispatch {
  const parts: FaceParts = { deps, subscriptions, own };
  return (request, context) => {
    if (context.service !== undefined) return serveService(parts, request, context);
    const { method, params } = request;
    if (method === "tools/call") {
      const { name } = params;
      // The way of Doorward's own tools stays as short as it is without any upstream.
      if (typeof name !== "string" || ownTools.has(name)) return own(request, context);
      return callTool(parts, request, context, name);
    }
    return serveAll(parts, request, context);
  };
}

/** What each request is served with. */
interface FaceParts {
  readonly deps: FaceDeps;
  readonly subscriptions: Subscriptions;
  /** Doorward's own protocol core. */
  readonly own: Dispatch;
}

async function serveAll(parts: FaceParts, request: RpcRequest, context: DispatchContext): Promise<object> {
  const { deps, own } = parts;
  const { method, params } = request;
  const servers = mcpServicesFor(deps.snapshot(), context.principal);
  const list = ITEM_LISTS.get(method);
  if (method === "tools/list") return listTools(parts, request, context, servers.length > 0);
  if (servers.length === 0 && !isAnswered(method)) return own(request, context);
  if (list !== undefined) return listed(deps, context, list, params);
  if (method === "initialize" || method === "server/discover") {
    const answer = (await own(request, context)) as JsonObject;
    return { ...answer, capabilities: CAPABILITIES, instructions: answer["instructions"] + AGGREGATE_INSTRUCTIONS };
  }
  return (await serveRequest(parts, request, context)) ?? own(request, context);
}

/** Requests that name an item are refused by the broker, on record, also to those who may use no server. */
function isAnswered(method: string): boolean {
  return ITEM_METHODS.has(method);
}

/** Doorward's own tools, then those of the servers. Who may use no server is not shown how to search them. */
async function listTools(
  { deps, own }: FaceParts,
  request: RpcRequest,
  context: DispatchContext,
  hasServers: boolean,
): Promise<object> {
  const answer = (await own(request, context)) as { readonly tools: readonly { readonly name: string }[] };
  if (!hasServers) return { ...answer, tools: answer.tools.filter(({ name }) => name !== FIND_TOOLS) };
  const { items, complete } = await listAll(deps, context, ITEM_LISTS.get("tools/list")!);
  const ttl = context.era === "modern" && !complete ? { ttlMs: PARTIAL_TTL_MS } : {};
  return { ...answer, tools: [...answer.tools, ...items], ...ttl };
}

async function serveService(parts: FaceParts, request: RpcRequest, context: DispatchContext): Promise<object> {
  const { deps, own } = parts;
  const { method, params } = request;
  const list = ITEM_LISTS.get(method);
  if (list !== undefined) return listed(deps, context, list, params);
  switch (method) {
    case "tools/call":
      return callTool(parts, request, context, textParam(params, "name"));
    case "initialize":
      // Doorward's own core judges the message, and says which revision is spoken.
      return introduce(deps, context, (await own(request, context)) as JsonObject);
    case "server/discover":
      if (context.era === "legacy") return own(request, context);
      return introduce(deps, context, { supportedVersions: MODERN_VERSIONS });
    default:
      return (await serveRequest(parts, request, context)) ?? own(request, context);
  }
}

/** What one server is, as it says so itself; what cannot be relayed is left out. */
async function introduce(deps: FaceDeps, context: DispatchContext, base: JsonObject): Promise<object> {
  const { principal, era, requestId } = context;
  const name = context.service!;
  const service = findMcpService(deps.snapshot(), principal, name);
  if (service === undefined) throw asRpcError(new Problem("unknown_service"), requestId);
  try {
    const surface = await deps.upstreams.surface(service, principal, relayOf(context, name, {}));
    listenFor(deps, context, name);
    const { serverInfo: _, instructions: _own, ...rest } = base;
    const introduction = {
      ...rest,
      capabilities: Object.fromEntries(RELAYED.flatMap((key) => capability(surface.capabilities, key))),
      ...(surface.instructions === undefined ? {} : { instructions: surface.instructions }),
    };
    const server = { ...deps.server, name };
    if (era === "legacy") return { ...introduction, serverInfo: server };
    return finishResult(introduction, { era, server, cache: { ttlMs: LIST_TTL_MS } });
  } catch (error) {
    throw error instanceof Problem ? asRpcError(error, requestId) : error;
  }
}

function capability(declared: JsonObject, key: string): [string, JsonValue][] {
  const value = declared[key];
  return isObject(value) ? [[key, value]] : [];
}

async function listed(deps: FaceDeps, context: DispatchContext, list: ItemList, params: JsonObject): Promise<object> {
  refuseCursor(params);
  const { service, era } = context;
  const { items, complete } =
    service === undefined ? await listAll(deps, context, list) : await listOne(deps, context, service, list);
  const cache = { ttlMs: complete ? LIST_TTL_MS : PARTIAL_TTL_MS };
  return finishResult({ [list.field]: items }, { era, server: deps.server, cache });
}

async function callTool(
  { deps, own }: FaceParts,
  request: RpcRequest,
  context: DispatchContext,
  shown: string,
): Promise<object> {
  const { params } = request;
  const { arguments: args = {} } = params;
  if (!isObject(args)) throw new RpcError(RPC.invalidParams, "`arguments` must be an object");
  const item =
    context.service === undefined
      ? await resolveItem(deps, context, shown, "tools")
      : { service: context.service, name: shown };
  if (item === undefined) return own(request, context);
  return callItem(deps, context, { ...item, method: "tools/call", arguments: args, params });
}

/** The requests that name one item, and the param that names it. */
const ITEM_METHODS: ReadonlyMap<string, "name" | "uri" | "ref"> = new Map([
  ["prompts/get", "name"],
  ["resources/read", "uri"],
  ["resources/subscribe", "uri"],
  ["resources/unsubscribe", "uri"],
  ["completion/complete", "ref"],
]);

/** @returns `undefined` for a method that is not of upstream servers, or not of this era. */
async function serveRequest(
  { deps, subscriptions }: FaceParts,
  request: RpcRequest,
  context: DispatchContext,
): Promise<object | undefined> {
  const { method, params } = request;
  const modern = context.era === "modern";
  if (method === "subscriptions/listen") return modern ? subscriptions.listen(request, context) : undefined;
  if (method === "logging/setLevel") return modern ? undefined : setLevel(context, params);
  const named = ITEM_METHODS.get(method);
  if (named === undefined || (modern && method.endsWith("subscribe"))) return undefined;
  return callItem(deps, context, await itemCall(deps, context, method as McpMethod, params));
}

function setLevel({ session }: DispatchContext, { level }: JsonObject): object {
  if (typeof level !== "string" || !LOG_LEVELS.includes(level)) {
    throw new RpcError(RPC.invalidParams, `\`level\` must be one of ${LOG_LEVELS.join(", ")}`);
  }
  if (session !== undefined) session.logLevel = level;
  return {};
}

async function itemCall(
  deps: FaceDeps,
  context: DispatchContext,
  method: McpMethod,
  params: JsonObject,
): Promise<ItemCall> {
  if (method === "completion/complete") return completionCall(deps, context, params);
  if (method === "prompts/get") {
    const { arguments: args = {} } = params;
    if (!isObject(args)) throw new RpcError(RPC.invalidParams, "`arguments` must be an object");
    return { ...(await promptOf(deps, context, textParam(params, "name"))), method, arguments: args, params };
  }
  return { ...resourceOf(context, textParam(params, "uri")), method, arguments: {}, params };
}

async function completionCall(deps: FaceDeps, context: DispatchContext, params: JsonObject): Promise<ItemCall> {
  const { ref, argument, context: given } = params;
  if (!isObject(ref) || !isObject(argument))
    throw new RpcError(RPC.invalidParams, "`ref` and `argument` must be objects");
  const isPrompt = ref["type"] === "ref/prompt";
  const item = isPrompt
    ? await promptOf(deps, context, textParam(ref, "name"))
    : resourceOf(context, textParam(ref, "uri"));
  const own = isPrompt ? { name: item.name } : { uri: item.name };
  const args = { ref: { ...ref, ...own }, argument, ...(given === undefined ? {} : { context: given }) };
  return { ...item, method: "completion/complete", arguments: args, params };
}

async function promptOf(deps: FaceDeps, context: DispatchContext, shown: string): Promise<ResolvedItem> {
  if (context.service !== undefined) return { service: context.service, name: shown };
  const item = await resolveItem(deps, context, shown, "prompts");
  if (item === undefined) throw new RpcError(RPC.invalidParams, `there is no prompt \`${shown.slice(0, 64)}\``);
  return item;
}

function resourceOf(context: DispatchContext, shown: string): ResolvedItem {
  if (context.service !== undefined) return { service: context.service, name: shown };
  const owner = ownerOfUri(shown);
  if (owner === undefined) throw new RpcError(RPC.invalidParams, `there is no resource \`${shown.slice(0, 128)}\``);
  return { service: owner.service, name: owner.uri };
}

function textParam(params: JsonObject, name: string): string {
  const value = params[name];
  if (typeof value !== "string") throw new RpcError(RPC.invalidParams, `\`${name}\` must be a string`);
  return value;
}
