import type { JsonValue } from "../base/json.ts";

export type ApprovalStatus = "pending" | "granted" | "denied" | "expired" | "used";

/** One person's yes. */
export interface Yes {
  /** Who: `owner`, `user:NAME`. */
  readonly by: string;
  readonly at: Date;
  /** Seconds for which the same call may be repeated; `undefined`: once. */
  readonly forSeconds: number | undefined;
}

/** A question to a person about one exact call, and its answer. What was asked never changes; the answer does, once. */
export interface Approval {
  /** `apr_…`, unguessable. */
  readonly id: string;
  readonly status: ApprovalStatus;
  /** The requester is the agent and its client. */
  readonly agent: string;
  readonly client: string;
  readonly user: string | undefined;
  readonly tenant: string | undefined;
  readonly service: string;
  /** The name within the service; `undefined` when several matched. */
  readonly operation: string | undefined;
  /** Of the same call, hex SHA-256. */
  readonly digest: string;
  /** Of the operation's definition and the rules that asked. */
  readonly basis: string;
  readonly message: string;
  readonly requestedAt: Date;
  /** While pending: when the question lapses. Once granted: when the permission does. */
  readonly expiresAt: Date;
  readonly answeredAt: Date | undefined;
  readonly answeredBy: string | undefined;
  readonly why: string | undefined;
  /** What was granted: one use, or repetitions until an instant. `undefined` until it is granted. */
  readonly granted: "once" | Date | undefined;
  /** The first use, in a window. */
  readonly usedAt: Date | undefined;
  /** Whether a repetition was told that it was denied or has expired. */
  readonly told: boolean;
  /** How many people must say yes. */
  readonly quorum: number;
  readonly yeses: readonly Yes[];
}

/** The whole of what a person is shown. */
export interface ShownApproval extends Approval {
  /** The call as it will be sent: method, url, headers, body. `undefined` when it is over and was too large to keep. */
  readonly request: JsonValue | undefined;
  readonly preview: JsonValue | undefined;
  /** Whether the agent's own user may not answer. */
  readonly separate: boolean;
}

/** Who answers. */
export interface Approver {
  /** Tells people apart for the quorum: `owner`, `user:NAME`. */
  readonly id: string;
  /** The person, where one is known by the name that tokens carry. */
  readonly user?: string | undefined;
  /** Set when the answer came with an agent's own credential: such an answer never counts. */
  readonly agent?: string | undefined;
  readonly client?: string | undefined;
}
