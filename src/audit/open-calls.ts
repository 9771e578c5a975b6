import type { OpenCall } from "./audit-chain.ts";
import type { CallTie } from "./event.ts";

/**
 * The calls that were permitted and have no outcome yet.
 *
 * Not a Map: V8 links each outgrown table of a Map to its successor, so that one that died old keeps every later call
 * alive until the next major collection. Each call knows its own place instead.
 */
export class OpenCalls implements Iterable<OpenCall> {
  readonly #calls: OpenCall[] = [];
  readonly #ties: CallTie[] = [];

  add(call: OpenCall, tie: CallTie = { slot: -1 }): void {
    tie.slot = this.#calls.length;
    this.#calls.push(call);
    this.#ties.push(tie);
  }

  /** @param tie - That of the call's events, where its maker gave them one. */
  find(requestId: string, tie?: CallTie): OpenCall | undefined {
    return this.#calls[this.#slotOf(requestId, tie)];
  }

  remove(requestId: string, tie?: CallTie): void {
    const slot = this.#slotOf(requestId, tie);
    if (slot === -1) return;
    this.#ties[slot]!.slot = -1;
    const lastCall = this.#calls.pop()!;
    const lastTie = this.#ties.pop()!;
    if (slot === this.#calls.length) return;
    this.#calls[slot] = lastCall;
    this.#ties[slot] = lastTie;
    lastTie.slot = slot;
  }

  /** Oldest first. */
  [Symbol.iterator](): Iterator<OpenCall> {
    return this.#calls.toSorted((one, other) => one.seq - other.seq)[Symbol.iterator]();
  }

  #slotOf(requestId: string, tie: CallTie | undefined): number {
    return tie?.slot ?? this.#calls.findIndex((call) => call.request_id === requestId);
  }
}
