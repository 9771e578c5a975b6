/** One rule that was looked at, and what came of it. */
export interface TracedRule {
  readonly id: string;
  readonly effect: "permit" | "ask" | "forbid" | "deny" | "limit";
  readonly matched: boolean;
  /** One clause. */
  readonly why: string;
}

/** Where a decision writes what it looked at; `undefined` on the path of a call, where nobody reads it. */
export type Trace = TracedRule[] | undefined;
