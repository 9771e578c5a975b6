import type { OpenCall } from "./audit-chain.ts";

/**
 * The calls that were permitted and have no outcome yet, oldest first.
 *
 * Not a Map: V8 links each outgrown table of a Map to its successor, so that one that died old keeps every later call
 * alive until the next major collection. A dictionary of names has no such chain. Ids are `req_…`, never numbers.
 */
export class OpenCalls implements Iterable<OpenCall> {
  readonly #calls: Record<string, OpenCall> = Object.create(null);

  add(call: OpenCall): void {
    this.#calls[call.request_id] = call;
  }

  find(requestId: string): OpenCall | undefined {
    return this.#calls[requestId];
  }

  remove(requestId: string): void {
    delete this.#calls[requestId];
  }

  *[Symbol.iterator](): Iterator<OpenCall> {
    for (const id in this.#calls) yield this.#calls[id]!;
  }
}
