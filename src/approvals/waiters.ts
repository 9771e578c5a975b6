import type { Cancellation } from "../base/cancellation.ts";

/** People's answers that somebody waits for at once; beyond it a wait ends at once, and is asked for again. */
const WAITERS_LIMIT = 1_000;

interface Waiter {
  /** Resolves when woken, when the time is over, or when cancelled. Never rejects. */
  readonly settled: Promise<void>;
  cancel(): void;
}

/** Waits for a change of something named, in this process. */
export interface Waiters {
  wait(id: string, options: { readonly ms: number; readonly signal?: Cancellation }): Waiter;
  wake(id: string): void;
}

/** Makes a set of waiters. Their timers do not keep the process alive. */
export function createWaiters(): Waiters {
  const waiting = new Map<string, Set<() => void>>();
  let count = 0;
  return {
    wait(id, { ms, signal }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (count >= WAITERS_LIMIT || ms <= 0 || signal?.aborted) {
        resolve();
        return { settled: promise, cancel: () => {} };
      }
      const here = waiting.get(id) ?? new Set();
      const end = () => {
        if (!here.delete(end)) return;
        count--;
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        if (here.size === 0 && waiting.get(id) === here) waiting.delete(id);
        resolve();
      };
      const timer = setTimeout(end, ms).unref();
      signal?.addEventListener("abort", end);
      here.add(end);
      waiting.set(id, here);
      count++;
      return { settled: promise, cancel: end };
    },
    wake(id) {
      for (const end of [...(waiting.get(id) ?? [])]) end();
    },
  };
}
