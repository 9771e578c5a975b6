import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Relay } from "../broker/upstream-call.ts";
import type { Principal } from "../identity/principal.ts";
import { ASK_CAPABILITIES } from "../upstreams/judge-ask.ts";
import { type ClientSession, pendingOf } from "./client-session.ts";
import type { Era } from "./era.ts";
import { notificationMessage, requestMessage } from "./json-rpc.ts";
import { LOG_LEVEL_KEY, wantsLog } from "./log-level.ts";

/** How one call's client is reached while the call runs, and afterwards. */
export interface RelayParts {
  readonly principal: Principal;
  readonly era: Era;
  /** `undefined` for clients that keep none: then nothing can be asked, and nothing reaches it after its call. */
  readonly session: ClientSession | undefined;
  /** The params of its request. */
  readonly params: JsonObject;
  /** Sends a message that belongs to this request. @returns `false` when that is over, or cannot be. */
  readonly send: (message: string) => boolean;
  /** Rewrites what a notification says of the upstream's items, where they have other names downstream. */
  readonly expose: (params: JsonObject) => JsonObject;
  readonly inputResponses?: JsonObject | undefined;
  readonly requestState?: string | undefined;
}

const CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities";
const PROGRESS = "notifications/progress";
const LOG = "notifications/message";

/** Makes the way from an upstream server to the client of one call. */
export function createRelay(parts: RelayParts): Relay {
  const { principal, era, session, params } = parts;
  const meta = isObject(params["_meta"]) ? params["_meta"] : {};
  const progressToken = tokenOf(meta["progressToken"]);
  const capabilities = era === "modern" ? capabilitiesOf(meta[CAPABILITIES_KEY]) : (session?.capabilities ?? {});
  const logLevel = era === "modern" ? textOf(meta[LOG_LEVEL_KEY]) : session?.logLevel;
  // INVARIANT: a stateless client gets what it asked for and nothing else; one with a session all, until it says less.
  const takes = (method: string, said: JsonObject): boolean => {
    if (method === PROGRESS) return progressToken !== undefined && said["progressToken"] === progressToken;
    if (method === LOG) return wantsLog(said["level"], logLevel, era === "modern" ? "nothing" : "everything");
    return era === "legacy";
  };
  return {
    key: session?.id ?? callerKey(principal),
    era,
    capabilities,
    progressToken,
    meta: forwardedMeta(meta),
    inputResponses: parts.inputResponses,
    requestState: parts.requestState,
    notify(method, said) {
      if (!takes(method, said)) return;
      const message = notificationMessage(method, parts.expose(said));
      if (isUnrelated(method) || !parts.send(message)) {
        if (method !== PROGRESS) session?.push?.(message);
      }
    },
    request(method, asked, signal) {
      const needed = ASK_CAPABILITIES.get(method);
      if (session === undefined || era === "modern" || needed === undefined || capabilities[needed] === undefined) {
        return Promise.reject(new Problem("upstream_invalid", { detail: `the client cannot be asked \`${method}\`` }));
      }
      return pendingOf(session).ask((id) => {
        const message = requestMessage(id, method, asked);
        if (!parts.send(message)) session.push?.(message);
      }, signal);
    },
  };
}

/** Of a client's declared capabilities, those that an upstream may use. */
export function capabilitiesOf(declared: JsonValue | undefined): JsonObject {
  if (!isObject(declared)) return {};
  const kept = [...ASK_CAPABILITIES.values()].flatMap((name) => {
    const capability = declared[name];
    return isObject(capability) && JSON.stringify(capability).length <= MAX_CAPABILITY_CHARACTERS
      ? [[name, capability] as const]
      : [];
  });
  return Object.fromEntries(kept);
}

/** A capability is a flag with a few more inside; a session keeps it. */
const MAX_CAPABILITY_CHARACTERS = 1_024;

/** Lists and resources change whether or not a call runs: the stream that belongs to no request carries that. */
function isUnrelated(method: string): boolean {
  return method.endsWith("/list_changed") || method === "notifications/resources/updated";
}

/** Two callers with the same key are one: the same agent and client, of the same tenant, for the same person. */
function callerKey({ agent, client, tenant = "", user = "" }: Principal): string {
  return tenant === "" && user === "" ? `${agent} ${client}` : JSON.stringify([agent, client, tenant, user]);
}

/** Trace context, and keys of other vendors. What is the protocol's or Doorward's own is said anew to the upstream. */
function forwardedMeta(meta: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(meta).filter(([key]) => isForwarded(key)));
}

const TRACE_KEYS: ReadonlySet<string> = new Set(["traceparent", "tracestate", "baggage"]);

function isForwarded(key: string): boolean {
  if (TRACE_KEYS.has(key)) return true;
  const slash = key.indexOf("/");
  if (slash <= 0) return false;
  const labels = key.slice(0, slash).toLowerCase().split(".");
  return !labels.some((label) => label === "doorward" || label === "modelcontextprotocol" || label === "mcp");
}

function tokenOf(value: JsonValue | undefined): string | number | undefined {
  return typeof value === "string" || typeof value === "number" ? value : undefined;
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}
