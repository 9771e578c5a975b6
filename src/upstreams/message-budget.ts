/** Messages that answer nothing: so many at once, and so many a second from then on. */
const BURST = 1_000;
const PER_SECOND = 200;

/** How many messages that nobody asked for are looked at. */
export interface MessageBudget {
  /** @param weight - How many ordinary messages it costs as much as. */
  take(nowMs: number, weight?: number): boolean;
  /** How many came beyond it. */
  readonly dropped: number;
}

/** A bucket that fills again with time. */
export function createMessageBudget(): MessageBudget {
  let left = BURST;
  let at = Number.NEGATIVE_INFINITY;
  let dropped = 0;
  return {
    get dropped() {
      return dropped;
    },
    take(nowMs, weight = 1) {
      left = Math.min(BURST, left + Math.max(0, (nowMs - at) / 1_000) * PER_SECOND);
      at = nowMs;
      if (left >= weight) {
        left -= weight;
        return true;
      }
      dropped += 1;
      return false;
    },
  };
}
