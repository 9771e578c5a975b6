/** Time that scrubbing may take of one turn of the event loop, over all calls. */
const TURN_MS = 20;
/** Less than this is not worth a timer; it adds up. */
const UNCOUNTED_MS = 0.5;

/** Shares the event loop between scrubbing and everything else: an upstream may write what is slow to look through. */
export interface ScrubTurns {
  /** Whether this turn has time left. */
  hasTime(): boolean;
  /** Runs a step and counts its time. */
  run(step: () => void): void;
  /** Runs a step in a later turn that has time, in the order of asking. */
  later(step: () => void): void;
}

export function createScrubTurns(): ScrubTurns {
  const waiting: (() => void)[] = [];
  let usedMs = 0;
  let scheduled = false;
  const schedule = () => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(begin);
  };
  const begin = () => {
    scheduled = false;
    usedMs = 0;
    while (waiting.length > 0 && usedMs < TURN_MS) waiting.shift()!();
    if (waiting.length > 0) schedule();
  };
  return {
    hasTime: () => usedMs < TURN_MS,
    run(step) {
      const startedAt = performance.now();
      step();
      usedMs += performance.now() - startedAt;
      if (usedMs > UNCOUNTED_MS) schedule();
    },
    later(step) {
      waiting.push(step);
      schedule();
    },
  };
}
