/** Hands out turns of the event loop, one after the other, so that long steps of many calls do not add up to a standstill. */
export interface Turns {
  /** Resolves in a turn of its own: whoever asked before had theirs in an earlier one. */
  next(): Promise<void>;
}

export function createTurns(): Turns {
  let last: Promise<void> = Promise.resolve();
  return {
    next() {
      last = last.then(() => new Promise((resolve) => setImmediate(resolve)));
      return last;
    },
  };
}
