/** Proofs remembered at once. Beyond them every further one is refused: forgetting one would let it be used again. */
const MEMORY_LIMIT = 250_000;

/** Remembers what was used, for at least a span and at most two. */
export interface ReplayMemory {
  /** @returns Whether it is the first use. */
  isFirst(key: string, now: Date): boolean;
}

/** @param spanMs - Milliseconds for which a use is remembered at least. */
export function createReplayMemory(spanMs: number): ReplayMemory {
  let older = new Set<string>();
  let newer = new Set<string>();
  let turnsAt = 0;
  return {
    isFirst(key, now) {
      const at = now.getTime();
      if (at >= turnsAt) {
        older = at >= turnsAt + spanMs ? new Set() : newer;
        newer = new Set();
        turnsAt = at + spanMs;
      }
      if (newer.size >= MEMORY_LIMIT || newer.has(key) || older.has(key)) return false;
      newer.add(key);
      return true;
    },
  };
}
