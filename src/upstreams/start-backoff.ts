import { Problem } from "../base/problem.ts";

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;
/** Entries of the file that are remembered; each version of one counts. */
const KEPT_MAX = 1_024;
/** A server that ends sooner than this did not really run. */
const RAN_MS = 10_000;

/** When servers that fail may be started again. */
export interface StartBackoff {
  /** @throws {Problem} the last failure, with how long to wait. */
  check(key: string, nowMs: number): void;
  failed(key: string, problem: Problem, nowMs: number): void;
  /** It ended by itself after it had been ready. */
  ended(key: string, problem: Problem, run: { readonly ranMs: number; readonly nowMs: number }): void;
  last(key: string): { readonly problem: Problem; readonly at: Date } | undefined;
}

/** Waits twice as long after each failure in a row, up to a minute. */
export function createStartBackoff(): StartBackoff {
  const failures = new Map<string, { count: number; untilMs: number; problem: Problem; at: Date }>();
  const failed = (key: string, problem: Problem, nowMs: number) => {
    const count = (failures.get(key)?.count ?? 0) + 1;
    const waitMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (count - 1));
    if (failures.size >= KEPT_MAX) failures.delete(failures.keys().next().value!);
    failures.set(key, { count, untilMs: nowMs + waitMs, problem, at: new Date() });
  };
  return {
    check(key, nowMs) {
      const failure = failures.get(key);
      if (failure === undefined || nowMs >= failure.untilMs) return;
      const { code, message, remedy, reason } = failure.problem;
      const seconds = Math.max(1, Math.ceil((failure.untilMs - nowMs) / 1_000));
      throw new Problem(code, {
        detail: message,
        remedy,
        fields: { ...failure.problem.fields, retry_after: seconds },
        ...(reason === undefined ? {} : { reason }),
      });
    },
    failed,
    ended(key, problem, { ranMs, nowMs }) {
      if (ranMs < RAN_MS) failed(key, problem, nowMs);
      else failures.delete(key);
    },
    last: (key) => failures.get(key),
  };
}
