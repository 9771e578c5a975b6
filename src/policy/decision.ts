import type { JsonValue } from "../base/json.ts";
import type { ProblemCode } from "../base/problem.ts";
import type { Kill } from "./kills.ts";
import type { CompiledOperation, CountedRate } from "./snapshot.ts";

/** The answer of the decision point. `rules` are the ids of those that determined it: what audit and `explain` print. */
export type Decision = Permit | Ask | Deny;

export interface Permit {
  readonly kind: "permit";
  readonly rules: readonly string[];
  /** All operations that the request matches, by scope. */
  readonly operations: readonly CompiledOperation[];
  /** To be counted when the call goes on. */
  readonly rates: readonly CountedRate[];
}

export interface Ask {
  readonly kind: "ask";
  readonly rules: readonly string[];
  readonly operations: readonly CompiledOperation[];
  readonly rates: readonly CountedRate[];
  readonly approval: ApprovalTerms;
}

/** How a person is asked, the strictest of all that ask. */
export interface ApprovalTerms {
  /** The message with `(unknown)` for what the preview would say. */
  readonly message: string;
  /** The message, filled from the preview's answer. */
  readonly messageWith: (preview: JsonValue | undefined) => string;
  /** `GET /…`, relative to the service's base path: what to fetch and show. */
  readonly preview: string | undefined;
  readonly expiresSeconds: number;
  readonly quorum: number;
  readonly separate: boolean;
  /** Digest of the operations' definitions and the rules that asked. */
  readonly basis: string;
}

export interface Deny {
  readonly kind: "deny";
  readonly code: ProblemCode;
  readonly rules: readonly string[];
  readonly operations: readonly CompiledOperation[];
  /** One clause for the caller. */
  readonly detail: string;
  readonly remedy: string;
  readonly retryAfterSeconds?: number;
  /** The scopes that the token lacks. */
  readonly scopes?: readonly string[];
  /** For the audit only. */
  readonly reason: string;
}

/** The rule that denies where no other speaks. */
export const DEFAULT_RULE = "default";

/** A denial by no rule in particular, unless the parts say more. */
export function deny(
  code: ProblemCode,
  parts: { readonly reason: string; readonly detail: string; readonly remedy: string } & Partial<Deny>,
): Deny {
  return { rules: [DEFAULT_RULE], operations: [], ...parts, kind: "deny", code };
}

/** The denial by a kill; it names the target and who set it. */
export function denyKilled(kill: Pick<Kill, "target" | "setBy">, operations: readonly CompiledOperation[] = []): Deny {
  return deny("killed", {
    rules: [`kill:${kill.target}`],
    operations,
    reason: "killed",
    detail: `\`${kill.target}\` was stopped by ${kill.setBy}`,
    remedy: `Wait until the owner lifts it with \`doorward resume ${kill.target}\`.`,
  });
}

/** The denial for a service that is not there, or that the caller may not know of: the same words. */
export function denyUnknownService(name: string, reason: string): Deny {
  return deny("unknown_service", {
    reason,
    detail: `there is no service \`${name.slice(0, MAX_SHOWN_NAME)}\``,
    remedy: "List what may be used with `doorward_services`.",
  });
}

/** A name longer than this is no service's, and is cut in the answer. */
const MAX_SHOWN_NAME = 64;
