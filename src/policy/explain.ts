import { type Decision, decide, type Question } from "./decide.ts";
import type { TracedRule } from "./trace.ts";

/** A decision with everything that was looked at: `doorward_explain` and `policy explain`. */
export interface Explanation {
  readonly decision: Decision;
  readonly rules: readonly TracedRule[];
  /** What to do now; empty when the call is permitted. */
  readonly remedy: string;
}

/** Decides, and keeps the trace. Counts nothing and holds nothing. */
export function explain(question: Question): Explanation {
  const rules: TracedRule[] = [];
  const decision = decide(question, rules);
  return { decision, rules: distinct(rules), remedy: remedyOf(decision) };
}

function remedyOf(decision: Decision): string {
  switch (decision.kind) {
    case "permit":
      return "";
    case "ask":
      return "Send the call: a person is asked. Repeat the same call once it is approved.";
    case "deny":
      return decision.remedy;
    default:
      return decision satisfies never;
  }
}

/** Several operations meet the same rules; what is said twice is kept once. */
function distinct(rules: readonly TracedRule[]): readonly TracedRule[] {
  const seen = new Map<string, TracedRule>();
  for (const rule of rules) seen.set(`${rule.id}\n${rule.effect}\n${rule.why}`, rule);
  return [...seen.values()];
}
