import type { JsonValue } from "../base/json.ts";

/** The closed list of facts that the evidence can hold. Past tense, `noun.verb`. */
export type AuditEventType =
  | "call.decided"
  | "call.completed"
  | "approval.requested"
  | "approval.granted"
  | "approval.denied"
  | "approval.expired"
  | "approval.used"
  | "grant.requested"
  | "grant.issued"
  | "grant.revoked"
  | "token.issued"
  | "token.refused"
  | "token.revoked"
  | "secret.set"
  | "secret.read"
  | "secret.bound"
  | "secret.rotated"
  | "secret.removed"
  | "kill.set"
  | "kill.lifted"
  | "config.loaded"
  | "config.refused"
  | "upstream.started"
  | "upstream.stopped"
  | "upstream.pinned"
  | "upstream.changed"
  | "upstream.refused"
  | "exec.started"
  | "exec.stopped"
  | "audit.checkpoint"
  | "audit.repaired"
  | "node.started"
  | "node.stopped";

/** Where the log keeps a call that was permitted and has no outcome yet. Whoever appends both events makes it. */
export interface CallTie {
  /** -1 while the log does not keep it. The log's own. */
  slot: number;
}

/** One fact, before the log gives it its place (`seq`, `at`, `node`, `prev`, `hash`). Absent means `null` on the line. */
export interface AuditEvent {
  readonly type: AuditEventType;
  readonly request_id?: string | undefined;
  readonly agent?: string | undefined;
  readonly tenant?: string | undefined;
  readonly user?: string | undefined;
  readonly service?: string | undefined;
  /** The name within the service (`domains:read`); `null` when none or several matched. */
  readonly operation?: string | undefined;
  readonly decision?: "permit" | "ask" | "deny" | undefined;
  readonly rules?: readonly string[] | undefined;
  readonly code?: string | undefined;
  /** Not written: ties the outcome of a call to its decision, so that neither needs to be looked for. One for both. */
  readonly tie?: CallTie | undefined;
  /** What else is known, written after the fields above in this order. Never a secret; sensitive inputs as digests. */
  readonly data?: { readonly [key: string]: JsonValue | undefined };
}

/** What every folder to the right needs of the evidence: a durable append, or a failure. */
export interface AuditLog {
  /**
   * Appends one event.
   *
   * @param meanwhile - Work for the time in which the disk is busy and callers wait. Called once at most, perhaps not at all,
   *   and before the event is durable. Must not throw.
   * @returns Resolves when the line is on disk (fdatasync). Appends made in one turn share a commit.
   * @throws {Problem} `audit_unavailable`: the line is not in the log and never will be.
   */
  append(event: AuditEvent, meanwhile?: () => void): Promise<void>;
  /** A keyed digest of a sensitive value: `hmac:` and 32 hex digits. Equal values have equal digests in one home. */
  digest(value: string | Uint8Array): string;
  /** Why nothing can be appended now; `undefined` when it can. */
  unavailable(): string | undefined;
}
