import { isObject, type JsonObject } from "../base/json.ts";
import type { Relay, UpstreamCall } from "../broker/upstream-call.ts";

/** What a server asked while it worked on a call of a client that can only be asked by the call's result. */
interface OpenAsk {
  readonly method: string;
  readonly params: JsonObject;
  readonly resolve: (result: JsonObject) => void;
  readonly reject: (error: Error) => void;
}

/** A deadline that waits while a person is asked. */
export interface CallClock {
  pause(): void;
  resume(): void;
}

/** What becomes of a call upstream, next. */
export type PendingNews =
  | { readonly kind: "result"; readonly result: JsonObject }
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "asks" };

/**
 * One request at an upstream, which may outlive the call that began it: an older server asks in mid-call, and a stateless
 * client answers with another call. A class because it is a resource with a lifetime.
 */
export class PendingCall {
  /** The call that began it: whoever goes on with it must be the same caller with the same request. */
  readonly call: UpstreamCall;
  /** Of the call that waits now. */
  relay: Relay | undefined;
  /** Ids of all calls that waited for it, the newest last. */
  readonly requestIds: string[];
  /** The deadline of the call that waits now. */
  clock: CallClock | undefined;
  readonly #abort = new AbortController();
  readonly #asks = new Map<string, OpenAsk>();
  #nextAsk = 1;
  #news: PendingNews | undefined;
  #wake: (() => void) | undefined;

  constructor(call: UpstreamCall) {
    this.call = call;
    this.relay = call.relay;
    this.requestIds = [call.requestId];
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Takes over the request's end. */
  follow(result: Promise<JsonObject>): void {
    result.then(
      (value) => this.#settle({ kind: "result", result: value }),
      (error: unknown) => this.#settle({ kind: "error", error }),
    );
  }

  /** Puts a question into the next result. Rejects when the request ends first. */
  ask(method: string, params: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    return new Promise((resolve, reject) => {
      const id = `ask_${this.#nextAsk++}`;
      this.#asks.set(id, { method, params, resolve, reject });
      signal.addEventListener("abort", () => this.#asks.delete(id) && reject(new Error("the server no longer asks")), {
        once: true,
      });
      this.#wake?.();
    });
  }

  /** Waits for the end, or for a question. */
  async news(): Promise<PendingNews> {
    while (this.#news === undefined && this.#asks.size === 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.#news ?? { kind: "asks" };
  }

  /** The open questions, as an `input_required` result has them. */
  questions(): JsonObject {
    return Object.fromEntries([...this.#asks].map(([id, { method, params }]) => [id, { method, params }]));
  }

  /** Gives the answers on. @returns Whether any of them was to an open question. */
  answer(responses: JsonObject): boolean {
    let answered = false;
    for (const [id, response] of Object.entries(responses)) {
      const ask = this.#asks.get(id);
      if (ask === undefined || !isObject(response)) continue;
      this.#asks.delete(id);
      ask.resolve(response);
      answered = true;
    }
    return answered;
  }

  /** Ends it; the server is told. */
  drop(why: string): void {
    this.#abort.abort(why);
    for (const ask of this.#asks.values()) ask.reject(new Error(why));
    this.#asks.clear();
  }

  #settle(news: PendingNews): void {
    this.#news = news;
    for (const ask of this.#asks.values()) ask.reject(new Error("the request is over"));
    this.#asks.clear();
    this.#wake?.();
  }
}
