/** A shared allowance of memory: what one holder takes, the others lack until it is given back. */
export interface ByteBudget {
  /** @returns `false`, and takes nothing, when less than `bytes` are left, in all or of this holder's share. */
  take(holder: string, bytes: number): boolean;
  give(holder: string, bytes: number): void;
  readonly usedBytes: number;
}

/**
 * Holders that are remembered though they hold nothing: to forget each at once would cost a table per call, and V8 keeps
 * the tables that a Map outgrew.
 */
const HOLDERS_MAX = 10_000;

/** The part of it that one holder may have, so that nobody is shut out by one. */
const SHARE = 1 / 2;

/**
 * Makes one byte budget for everything in the process that buffers whole answers.
 *
 * @param limitBytes - Answers beyond it are refused rather than swapped.
 */
export function createByteBudget(limitBytes: number): ByteBudget {
  const held = new Map<string, number>();
  let used = 0;
  return {
    take(holder, bytes) {
      const mine = held.get(holder) ?? 0;
      if (used + bytes > limitBytes || mine + bytes > limitBytes * SHARE) return false;
      used += bytes;
      held.set(holder, mine + bytes);
      return true;
    },
    give(holder, bytes) {
      const left = (held.get(holder) ?? 0) - bytes;
      used -= bytes;
      held.set(holder, Math.max(0, left));
      if (left <= 0 && held.size > HOLDERS_MAX) forgetIdle(held);
    },
    get usedBytes() {
      return used;
    },
  };
}

function forgetIdle(held: Map<string, number>): void {
  for (const [holder, bytes] of held) if (bytes === 0) held.delete(holder);
}
