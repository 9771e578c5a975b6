import type { RequestId } from "./json-rpc.ts";

/**
 * The calls under way of one client, by its own ids, so that it can cancel them.
 *
 * Not a Map: V8 links each outgrown table of a Map to its successor, so that one that died old keeps every later call
 * alive until the next major collection. A client has few calls under way at once.
 */
export class RunningCalls {
  readonly #ids: RequestId[] = [];
  readonly #controllers: AbortController[] = [];

  get size(): number {
    return this.#ids.length;
  }

  has(id: RequestId): boolean {
    return this.#ids.includes(id);
  }

  get(id: RequestId): AbortController | undefined {
    return this.#controllers[this.#ids.indexOf(id)];
  }

  /** @param id - Not under way yet. */
  set(id: RequestId, controller: AbortController): void {
    this.#ids.push(id);
    this.#controllers.push(controller);
  }

  delete(id: RequestId): void {
    const index = this.#ids.indexOf(id);
    if (index === -1) return;
    const lastId = this.#ids.pop()!;
    const last = this.#controllers.pop()!;
    if (index === this.#ids.length) return;
    this.#ids[index] = lastId;
    this.#controllers[index] = last;
  }

  values(): readonly AbortController[] {
    return [...this.#controllers];
  }
}
