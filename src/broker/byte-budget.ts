/** A shared allowance of memory: what one holder takes, the others lack until it is given back. */
export interface ByteBudget {
  /** @returns `false`, and takes nothing, when less than `bytes` are left. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  readonly usedBytes: number;
}

/**
 * Makes one byte budget for everything in the process that buffers whole answers.
 *
 * @param limitBytes - Answers beyond it are refused rather than swapped.
 */
export function createByteBudget(limitBytes: number): ByteBudget {
  let used = 0;
  return {
    take(bytes) {
      if (used + bytes > limitBytes) return false;
      used += bytes;
      return true;
    },
    give(bytes) {
      used -= bytes;
    },
    get usedBytes() {
      return used;
    },
  };
}
