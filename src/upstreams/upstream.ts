import type { JsonObject } from "../base/json.ts";
import type { Relay } from "../broker/upstream-call.ts";
import type { Scrubber } from "../credentials/scrubber.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Connection } from "./connection.ts";
import { ASK_CAPABILITIES, type JudgedAsk, judgeAsk, relayedCapabilities } from "./judge-ask.ts";
import type { Link } from "./link.ts";
import { createMessageBudget } from "./message-budget.ts";
import type { PendingCall } from "./pending-call.ts";
import { scrubResult } from "./scrub-result.ts";
import type { Surface } from "./surface.ts";

/** A person has this long to answer a server that asks in mid-call. */
const ASK_MS = 10 * 60_000;
/** Secrets that were rotated are still looked for; so many of them. */
const SCRUBBERS_MAX = 4;
/** A notification that is longer counts as several. */
const ORDINARY_CHARACTERS = 1_024;
/** Of a question of a server, as JSON. It is looked through in one go. */
const ASK_CHARACTERS_MAX = 1024 * 1024;
const LISTS_CHANGED: ReadonlySet<string> = new Set([
  "notifications/tools/list_changed",
  "notifications/prompts/list_changed",
  "notifications/resources/list_changed",
]);

/** What an upstream tells whoever keeps it. */
export interface UpstreamObserver {
  /** Its lists changed: what was known of them is old. */
  listsChanged(method: string): void;
  /** A question that no person was shown. */
  declined(method: string, why: string): void;
  /** A session, or a stream, of the client that owns this connection. */
  relayOf(key: string): Relay | undefined;
  readonly nowMs: () => number;
}

/**
 * One connection to an upstream server, the calls that are under way on it, and who is told of what it says.
 *
 * A class because it is a resource with a lifetime.
 */
export class Upstream {
  readonly service: CompiledMcpService;
  /** The one client that it may ask; `""` when it may ask nobody. */
  readonly owner: string;
  readonly calls = new Set<PendingCall>();
  usedAtMs: number;
  /** The wire, from its opening on; before the handshake is done too. */
  link: Link | undefined;
  /** Why it must not be opened any more. */
  stopped: string | undefined;
  /** What it offers, judged; absent until it is fetched, and after its lists changed. */
  surface: Surface | undefined;
  surfaceAtMs = 0;
  readonly #capabilities: JsonObject;
  readonly #observer: UpstreamObserver;
  readonly #budget = createMessageBudget();
  readonly #subscriptions = new Map<string, Map<string, Relay>>();
  #scrubbers: readonly Scrubber[] = [];
  #connection: Connection | undefined;

  constructor(
    parts: { readonly service: CompiledMcpService; readonly owner: string; readonly capabilities: JsonObject },
    observer: UpstreamObserver,
  ) {
    this.service = parts.service;
    this.owner = parts.owner;
    this.#capabilities = parts.capabilities;
    this.#observer = observer;
    this.usedAtMs = observer.nowMs();
  }

  get connection(): Connection {
    return this.#connection!;
  }

  /** Set once, when the handshake is done. */
  attach(connection: Connection): void {
    this.#connection = connection;
  }

  /** Ends it, at whatever stage of its opening. */
  async stop(why: string, graceMs?: number): Promise<void> {
    this.stopped ??= why;
    await this.link?.close(why, graceMs);
  }

  get scrubbers(): readonly Scrubber[] {
    return this.#scrubbers;
  }

  /** Looks for one more secret from now on. */
  watch(scrubber: Scrubber): void {
    if (this.#scrubbers.includes(scrubber)) return;
    this.#scrubbers = [scrubber, ...this.#scrubbers].slice(0, SCRUBBERS_MAX);
  }

  get isBusy(): boolean {
    return this.calls.size > 0 || this.#subscriptions.size > 0;
  }

  /** Ids of the calls under way, for the evidence of what the server does meanwhile. */
  during(): readonly string[] {
    return [...this.calls].map(({ requestIds }) => requestIds.at(-1)!);
  }

  notification(method: string, params: JsonObject): void {
    const weight = 1 + Math.floor(JSON.stringify(params).length / ORDINARY_CHARACTERS);
    if (!this.#budget.take(this.#observer.nowMs(), weight)) return;
    if (LISTS_CHANGED.has(method)) {
      this.surface = undefined;
      this.#observer.listsChanged(method);
    } else if (method === "notifications/resources/updated") this.#updated(params);
    else if (method === "notifications/message" || method === "notifications/elicitation/complete") {
      this.#addressee()?.notify(method, this.scrub(params));
    }
  }

  scrub(params: JsonObject): JsonObject {
    return scrubResult(params, this.#scrubbers).value;
  }

  /** Puts a question of the server to the one client that it may ask. */
  async ask(method: string, params: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    const pending = [...this.calls].findLast(({ relay }) => relay !== undefined);
    const relay = pending?.relay ?? this.#observer.relayOf(this.owner);
    const judged = this.judge(method, params, relay);
    if (judged.kind === "refused") throw rpcRefusal(judged.code, judged.message);
    if (judged.kind === "answered") return judged.result;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]);
    if (relay?.era === "legacy") return askNow(relay, pending, { method, params: judged.params }, limited);
    if (pending === undefined) throw rpcRefusal(-32_603, "no call is under way that could ask the client");
    return pending.ask(method, judged.params, limited);
  }

  /** Looks at a question before the client does, and records what no person was shown. */
  judge(method: string, params: JsonObject, relay: Relay | undefined): JudgedAsk {
    if (JSON.stringify(params).length > ASK_CHARACTERS_MAX)
      return { kind: "refused", code: -32_603, message: "the question is too large" };
    const declared = relayedCapabilities(relay?.capabilities ?? {});
    const capability = ASK_CAPABILITIES.get(method) ?? "";
    const both = this.#capabilities[capability] === undefined ? {} : declared;
    const judged = judgeAsk({ method, params: this.scrub(params), service: this.service.config.name }, both);
    if (judged.kind === "answered") this.#observer.declined(method, judged.why);
    return judged;
  }

  /** @returns Whether the server has to be told. */
  subscribe(uri: string, relay: Relay): boolean {
    const found = this.#subscriptions.get(uri);
    if (found !== undefined) found.set(relay.key, relay);
    else this.#subscriptions.set(uri, new Map([[relay.key, relay]]));
    return found === undefined;
  }

  /** @returns Whether the server has to be told. */
  unsubscribe(uri: string, relayKey: string): boolean {
    const found = this.#subscriptions.get(uri);
    if (found === undefined || !found.delete(relayKey) || found.size > 0) return false;
    return this.#subscriptions.delete(uri);
  }

  /** Forgets a client's subscriptions. @returns The URIs that nobody else has subscribed to. */
  forget(relayKey: string): readonly string[] {
    return [...this.#subscriptions.keys()].filter((uri) => this.unsubscribe(uri, relayKey));
  }

  subscribed(): readonly string[] {
    return [...this.#subscriptions.keys()];
  }

  #updated(params: JsonObject): void {
    const { uri } = params;
    if (typeof uri !== "string") return;
    const told = new Set<string>();
    for (const [subscribed, relays] of this.#subscriptions) {
      // The resource itself, or a part of it.
      if (uri !== subscribed && !uri.startsWith(subscribed.endsWith("/") ? subscribed : `${subscribed}/`)) continue;
      for (const [key, relay] of relays) {
        if (told.has(key)) continue;
        told.add(key);
        (this.#observer.relayOf(key) ?? relay).notify("notifications/resources/updated", this.scrub(params));
      }
    }
  }

  /** Whom a message is for that names no call: the client whose calls alone are under way. Nobody learns of another's. */
  #addressee(): Relay | undefined {
    const relays = [...this.calls].map(({ relay }) => relay);
    const last = relays.at(-1);
    if (relays.length === 0) return this.owner === "" ? undefined : this.#observer.relayOf(this.owner);
    return relays.every((relay) => relay?.key === last?.key) ? last : undefined;
  }
}

/** A person's time is not the server's: the call's deadline waits. */
async function askNow(
  relay: Relay,
  pending: PendingCall | undefined,
  { method, params }: { readonly method: string; readonly params: JsonObject },
  signal: AbortSignal,
): Promise<JsonObject> {
  pending?.clock?.pause();
  try {
    return await relay.request(method, params, signal);
  } catch {
    throw rpcRefusal(-32_603, "the client cannot be asked, or gave no answer");
  } finally {
    pending?.clock?.resume();
  }
}

function rpcRefusal(code: number, message: string): Error {
  return Object.assign(new Error(message), { code });
}
