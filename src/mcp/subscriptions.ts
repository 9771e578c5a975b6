import { newId } from "../base/ids.ts";
import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { collectAnswer } from "../broker/collect-answer.ts";
import type { Relay } from "../broker/upstream-call.ts";
import type { Principal } from "../identity/principal.ts";
import type { Killable } from "../policy/kills.ts";
import { asRpcError } from "./call-item.ts";
import type { DispatchContext } from "./dispatch.ts";
import { exposeUri, ownerOfUri } from "./exposed-uris.ts";
import { type FaceDeps, relayOf, senderOf } from "./face.ts";
import { finishResult } from "./finish-result.ts";
import { notificationMessage, type RequestId, RPC, RpcError, type RpcRequest } from "./json-rpc.ts";
import { findMcpService, mcpServicesFor } from "./known-services.ts";

/** Streams that one agent may keep open, and all agents together. */
const MAX_STREAMS_PER_AGENT = 64;
const MAX_STREAMS = 1_024;
/** Resources that one stream may watch. */
const MAX_RESOURCES = 256;
const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";

/** Which kinds of notification a stream asks for, and the filter's word for each. */
const LIST_CHANGES: ReadonlyMap<string, string> = new Map([
  ["notifications/tools/list_changed", "toolsListChanged"],
  ["notifications/prompts/list_changed", "promptsListChanged"],
  ["notifications/resources/list_changed", "resourcesListChanged"],
]);
const RESOURCE_UPDATED = "notifications/resources/updated";

/** The `subscriptions/listen` streams of stateless clients. */
export interface Subscriptions {
  /** Serves one until its client leaves; then the result goes nowhere. @throws {RpcError} */
  listen(request: RpcRequest, context: DispatchContext): Promise<object>;
  /** Tells every stream that a list of Doorward's own making changed: the rules, or a pin. */
  changed(): void;
  /** Ends the streams of some, or all, each with its result. @returns How many. */
  endAll(whose?: (who: Killable) => boolean): number;
}

interface Stream {
  /** Servers know it by this: what it subscribed to ends with it, and nothing of the same client's other streams. */
  readonly key: string;
  readonly principal: Principal;
  /** Does nothing before what is granted was told. */
  tell: (method: string, params: JsonObject) => void;
  readonly end: () => void;
}

export function createSubscriptions(deps: FaceDeps): Subscriptions {
  const streams = new Set<Stream>();
  return {
    async listen(request, context) {
      const asked = readFilter(request.params);
      const { principal } = context;
      const mine = [...streams].filter((stream) => stream.principal.agent === principal.agent).length;
      if (streams.size >= MAX_STREAMS || mine >= MAX_STREAMS_PER_AGENT) {
        throw new RpcError(RPC.internalError, "too many subscription streams are open");
      }
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      context.signal?.addEventListener("abort", () => end(), { once: true });
      const stream: Stream = { key: newId("sub"), principal, tell: () => {}, end };
      streams.add(stream);
      try {
        const filter = await honoured(deps, context, stream, asked);
        stream.tell = teller(context, request.id, filter);
        const stop = listenToServers(deps, context, stream, filter);
        if (context.signal?.aborted !== true) await ended;
        stop();
      } finally {
        streams.delete(stream);
        deps.upstreams.endSession(stream.key);
      }
      return finishResult({ _meta: { [SUBSCRIPTION_ID]: request.id } }, { era: "modern", server: deps.server });
    },
    changed() {
      for (const { tell } of streams) for (const method of LIST_CHANGES.keys()) tell(method, {});
    },
    endAll(whose = () => true) {
      const ending = [...streams].filter(({ principal }) => whose(principal));
      for (const stream of ending) stream.end();
      return ending.length;
    },
  };
}

interface Filter {
  /** Words of {@link LIST_CHANGES}. */
  readonly lists: ReadonlySet<string>;
  /** As the client calls them. */
  readonly resources: ReadonlySet<string>;
}

function readFilter(params: JsonObject): Filter {
  const { notifications } = params;
  if (!isObject(notifications)) throw new RpcError(RPC.invalidParams, "`notifications` must be an object");
  const { resourceSubscriptions = [] } = notifications;
  const lists = [...LIST_CHANGES.values()].filter((word) => notifications[word] === true);
  if (!isTexts(resourceSubscriptions) || resourceSubscriptions.length > MAX_RESOURCES) {
    throw new RpcError(RPC.invalidParams, `\`resourceSubscriptions\` must be a list of at most ${MAX_RESOURCES} URIs`);
  }
  return { lists: new Set(lists), resources: new Set(resourceSubscriptions) };
}

/** What is granted: each resource is subscribed to by a call of its own, which the rules may refuse. */
async function honoured(deps: FaceDeps, context: DispatchContext, stream: Stream, asked: Filter): Promise<Filter> {
  const granted = new Set<string>();
  for (const uri of asked.resources) {
    if (context.signal?.aborted === true) break;
    if (await subscribe(deps, context, stream, uri)) granted.add(uri);
  }
  return { lists: asked.lists, resources: granted };
}

async function subscribe(deps: FaceDeps, context: DispatchContext, stream: Stream, shown: string): Promise<boolean> {
  const owner = ownerOf(context, shown);
  if (owner === undefined) return false;
  const { service, uri } = owner;
  const relay = relayTo(context, stream, service);
  const { principal, signal } = context;
  const raw = { kind: "mcp", method: "resources/subscribe", name: uri, arguments: {}, lossy: false } as const;
  try {
    const { head } = await collectAnswer(
      deps.broker.call,
      { requestId: newId("req"), door: "mcp", principal, service, raw, publicBase: undefined, relay },
      { budget: deps.budget, signal },
    );
    return head.status === 200;
  } catch (error) {
    if (error instanceof Problem) return false;
    throw asRpcError(new Problem("internal_error", { cause: error }), context.requestId);
  }
}

function ownerOf({ service }: DispatchContext, shown: string) {
  return service === undefined ? ownerOfUri(shown) : { service, uri: shown };
}

/** Sends what the filter lets pass, marked as this stream's; the acknowledgement goes first. */
function teller(context: DispatchContext, id: RequestId, filter: Filter): Stream["tell"] {
  const send = senderOf(context);
  const marked = (method: string, params: JsonObject) => {
    const meta = isObject(params["_meta"]) ? params["_meta"] : {};
    return send(notificationMessage(method, { ...params, _meta: { ...meta, [SUBSCRIPTION_ID]: id } }));
  };
  const notifications: { [key: string]: JsonValue } = {};
  for (const word of filter.lists) notifications[word] = true;
  if (filter.resources.size > 0) notifications["resourceSubscriptions"] = [...filter.resources];
  if (!marked("notifications/subscriptions/acknowledged", { notifications })) {
    throw new RpcError(RPC.invalidRequest, "the Accept header must allow text/event-stream", { status: 400 });
  }
  return (method, params) => {
    const word = LIST_CHANGES.get(method);
    const wanted =
      method === RESOURCE_UPDATED
        ? filter.resources.has(`${params["uri"]}`)
        : word !== undefined && filter.lists.has(word);
    if (wanted) marked(method, params);
  };
}

/** Asks the servers that the stream is about to say what changes. @returns What ends it. */
function listenToServers(deps: FaceDeps, context: DispatchContext, stream: Stream, filter: Filter): () => void {
  const snapshot = deps.snapshot();
  const { principal, service: scope } = context;
  const all = scope === undefined ? mcpServicesFor(snapshot, principal) : [findMcpService(snapshot, principal, scope)];
  const named = new Set([...filter.resources].map((uri) => ownerOf(context, uri)?.service));
  const ends = all
    .filter((service) => service !== undefined)
    .filter(({ config }) => filter.lists.size > 0 || named.has(config.name))
    .map(({ config: { name } }) => deps.upstreams.listen(name, relayTo(context, stream, name)));
  return () => {
    for (const end of ends) end();
  };
}

/** The stream as servers see it: it only listens, so it can share a connection with everybody. */
function relayTo(context: DispatchContext, stream: Stream, service: string): Relay {
  return {
    ...relayOf(context, service, {}),
    key: stream.key,
    capabilities: {},
    notify: (method, said) => stream.tell(method, context.service === undefined ? shownUri(service, said) : said),
  };
}

function shownUri(service: string, said: JsonObject): JsonObject {
  return typeof said["uri"] === "string" ? { ...said, uri: exposeUri(service, said["uri"]) } : said;
}

function isTexts(value: JsonValue): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
