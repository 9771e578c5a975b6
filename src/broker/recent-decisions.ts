import type { JsonValue } from "../base/json.ts";
import { isSameCaller, type Principal } from "../identity/principal.ts";
import type { Decision } from "../policy/decision.ts";

/** Decisions remembered, so that a refusal can be explained afterwards; the evidence keeps all. */
const REMEMBERED = 10_000;

/** What was decided about a call, as its own agent may be told. */
interface RecentDecision {
  readonly agent: string;
  readonly client: string;
  readonly user: string | undefined;
  readonly tenant: string | undefined;
  readonly decision: "permit" | "ask" | "deny";
  readonly code: string | undefined;
  readonly rules: readonly string[];
  readonly detail: string;
  readonly remedy: string;
  readonly dropped: readonly string[];
}

export interface RecentDecisions {
  remember(requestId: string, decision: RecentDecision): void;
  /** @returns The contract's explanation; `undefined` when it is not this caller's, or too long ago. */
  find(requestId: string, principal: Principal): { readonly [key: string]: JsonValue } | undefined;
}

export function createRecentDecisions(): RecentDecisions {
  // A ring and not a Map: this is written at every call and read at hardly any. What lives as long as this is moved twice
  // by the collector, so calls that were decided alike share what was decided.
  const ids: string[] = [];
  const decisions: RecentDecision[] = [];
  let next = 0;
  let last: RecentDecision | undefined;
  return {
    remember(requestId, decision) {
      last = last !== undefined && isAlike(last, decision) ? last : decision;
      ids[next] = requestId;
      decisions[next] = last;
      next = (next + 1) % REMEMBERED;
    },
    find(requestId, principal) {
      const found = decisions[ids.lastIndexOf(requestId)];
      if (found === undefined || !isSameCaller(found, principal)) return undefined;
      const { decision, code, rules, detail, remedy, dropped } = found;
      return {
        request_id: requestId,
        decision,
        ...(code === undefined ? {} : { code, detail }),
        rules: rules.map((id) => ({
          id,
          effect: effectOf(id, decision),
          matched: true,
          why: code === undefined ? "it matched" : detail,
        })),
        remedy,
        dropped_headers: [...dropped],
      };
    },
  };
}

function isAlike(one: RecentDecision, other: RecentDecision): boolean {
  return (
    one.agent === other.agent &&
    one.client === other.client &&
    one.user === other.user &&
    one.tenant === other.tenant &&
    one.decision === other.decision &&
    one.code === other.code &&
    one.detail === other.detail &&
    one.remedy === other.remedy &&
    areAlike(one.rules, other.rules) &&
    areAlike(one.dropped, other.dropped)
  );
}

function areAlike(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((text, index) => text === other[index]);
}

function effectOf(rule: string, decision: Decision["kind"]): string {
  if (rule.startsWith("role:")) return decision === "deny" ? "limit" : "permit";
  return decision === "deny" && rule.startsWith("policy:") ? "forbid" : decision;
}
