import type { JsonValue } from "../base/json.ts";
import { isSameCaller, type Principal } from "../identity/principal.ts";
import type { Decision } from "../policy/decision.ts";

/** Decisions remembered, so that a refusal can be explained afterwards; the evidence keeps all. */
const REMEMBERED = 10_000;
/** More than a request id has: `req_` and 20 letters. */
const ID_BYTES = 32;
const ID = /^[!-~]{1,32}$/;

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
  // A ring and not a Map: this is written at every call and read at hardly any. The ids stand in one block of bytes, and
  // calls that were decided alike share what was decided: what lives as long as this costs the collector twice its making.
  const ids = Buffer.alloc(REMEMBERED * ID_BYTES);
  const lengths = new Uint8Array(REMEMBERED);
  const decisions: RecentDecision[] = [];
  let next = 0;
  let last: RecentDecision | undefined;
  return {
    remember(requestId, decision) {
      if (requestId.length > ID_BYTES) return;
      last = last !== undefined && isAlike(last, decision) ? last : decision;
      lengths[next] = ids.write(requestId, next * ID_BYTES, "latin1");
      decisions[next] = last;
      next = (next + 1) % REMEMBERED;
    },
    find(requestId, principal) {
      const found = decisions[placeOf(requestId, ids, lengths)];
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

/** @returns -1 when it is not there. */
function placeOf(requestId: string, ids: Buffer, lengths: Uint8Array): number {
  if (!ID.test(requestId)) return -1;
  for (let at = ids.lastIndexOf(requestId, undefined, "latin1"); at !== -1; ) {
    const place = at / ID_BYTES;
    if (lengths[place] === requestId.length) return place;
    at = at === 0 ? -1 : ids.lastIndexOf(requestId, at - 1, "latin1");
  }
  return -1;
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
