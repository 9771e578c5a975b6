import type { AuditEvent } from "../audit/event.ts";
import type { ProblemCode } from "../base/problem.ts";
import type { Principal } from "../identity/principal.ts";

/** What was refused before it was a call: unreadable, too large, not a message. */
export interface EarlyRefusal {
  readonly requestId: string;
  readonly principal: Principal;
  readonly door: "api" | "mcp" | "egress";
  readonly code: ProblemCode;
  /** Ours; for the evidence. */
  readonly reason: string;
  readonly service?: string;
  /** Absent: none spoke. */
  readonly rules?: readonly string[];
  /** Of a program behind the egress proxy: where it wanted to go, and the calls that were under way. */
  readonly egress?: { readonly target: string | undefined; readonly during: readonly string[] };
}

/**
 * Puts a refusal on record that the broker never saw, so that a caller's bad input is evidence like a denial.
 *
 * @throws {Problem} `audit_unavailable`.
 */
export function recordRefusal(
  audit: { append(event: AuditEvent): Promise<void> },
  refusal: EarlyRefusal,
): Promise<void> {
  const { requestId, principal, door, code, reason, service, rules = [], egress } = refusal;
  return audit.append({
    type: "call.decided",
    request_id: requestId,
    agent: principal.agent,
    tenant: principal.tenant,
    service: service?.slice(0, 64),
    decision: "deny",
    rules,
    code,
    data: { door, ...egress, client: principal.client, ip: principal.ip, reason: reason.slice(0, 500) },
  });
}
