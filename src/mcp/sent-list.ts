/** What waits for one answer to have left the process. */
export interface SentList {
  /** Calls back when the answer has left, or will not; at once when that has come already. */
  readonly add: (then: () => void) => void;
  /** Runs them, once. */
  readonly run: () => void;
}

export function createSentList(): SentList {
  let waiting: (() => void)[] | undefined = [];
  return {
    add: (then) => {
      if (waiting === undefined) then();
      else waiting.push(then);
    },
    run: () => {
      const due = waiting ?? [];
      waiting = undefined;
      for (const then of due) then();
    },
  };
}
