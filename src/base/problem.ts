/**
 * The refusals that may cross the wire: one closed table, one class.
 *
 * Faces map a `Problem` to their own form: problem+json (HTTP), `isError` result (MCP), a line and an exit status (CLI).
 *
 * @see RFC 9457; the table is the contract's.
 */

/** What a code means on HTTP. `title` is the one clause that never varies; the detail belongs to the occurrence. */
interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** What to do when the thrower knows nothing better. */
  readonly remedy: string;
}

export const PROBLEMS = {
  invalid_request: { status: 400, title: "the request is not valid", remedy: "Correct the part named in the detail." },
  not_canonical: {
    status: 400,
    title: "the request has no unambiguous form",
    remedy: "Write the named part in its plain form; `doorward_explain` shows what was read.",
  },
  header_refused: {
    status: 400,
    title: "a request header may not pass",
    remedy: "Leave the header out, or ask the owner to add it to `headers.allow` of the service.",
  },
  invalid_token: {
    status: 401,
    title: "the token is not valid",
    remedy: "Ask the owner for a new key: `doorward agent key NAME`.",
  },
  invalid_dpop_proof: {
    status: 401,
    title: "the DPoP proof is not valid",
    remedy: "Make a new proof for this request.",
  },
  denied: {
    status: 403,
    title: "no rule allows this call",
    remedy: "Ask the owner for a role that allows it; `doorward_explain` names what was looked at.",
  },
  killed: {
    status: 403,
    title: "stopped by a kill",
    remedy: "Wait until the owner lifts it with `doorward resume TARGET`.",
  },
  unknown_operation: {
    status: 403,
    title: "the service has no operation that matches",
    remedy: "List what may be used with `doorward_services`.",
  },
  insufficient_scope: {
    status: 403,
    title: "the token lacks a scope",
    remedy: "Ask for a token with the scopes named.",
  },
  approval_required: {
    status: 403,
    title: "a person must approve this call",
    remedy: "Wait for the approval (`doorward_status`), then repeat the same call.",
  },
  approval_denied: {
    status: 403,
    title: "a person denied this call",
    remedy: "Do something else, or repeat the call to ask anew.",
  },
  approval_expired: {
    status: 403,
    title: "nobody answered in time, or the approval was not used in time",
    remedy: "Repeat the call to ask anew.",
  },
  bad_origin: { status: 403, title: "the Origin is foreign", remedy: "Call from a program, not from a web page." },
  unknown_service: {
    status: 404,
    title: "there is no such service",
    remedy: "List what may be used with `doorward_services`.",
  },
  not_found: { status: 404, title: "there is no such route", remedy: "Use `/mcp` or `/api/SERVICE/…`." },
  method_not_allowed: { status: 405, title: "the route has no such method", remedy: "Use a method named in `Allow`." },
  request_timeout: { status: 408, title: "the request did not arrive in time", remedy: "Send it again, whole." },
  too_large: {
    status: 413,
    title: "the request is too large",
    remedy: "Send less, or ask the owner for a higher limit.",
  },
  unsupported_encoding: {
    status: 415,
    title: "a compressed request body cannot be read",
    remedy: "Send the body without `Content-Encoding`.",
  },
  bad_host: {
    status: 421,
    title: "the Host is not this server's",
    remedy: "Call the address that `doorward status` prints, or set `server.public_url`.",
  },
  rate_limited: { status: 429, title: "too many calls", remedy: "Wait as long as `Retry-After` says." },
  internal_error: {
    status: 500,
    title: "a fault of Doorward",
    remedy: "Report it with the request id: `doorward audit show REQUEST_ID`.",
  },
  upstream_unreachable: {
    status: 502,
    title: "the service cannot be reached",
    remedy: "Try later; the owner can run `doorward service test NAME`.",
  },
  upstream_too_large: {
    status: 502,
    title: "the answer is larger than the limit",
    remedy: "Ask for less, or ask the owner to raise `limits.response`.",
  },
  upstream_invalid: {
    status: 502,
    title: "the answer cannot be understood",
    remedy: "Try later; the owner can run `doorward service test NAME`.",
  },
  upstream_forbidden_address: {
    status: 502,
    title: "the service's name leads to an address that may not be dialled",
    remedy: "The owner must correct the service's url, or say `private: true`.",
  },
  audit_unavailable: {
    status: 503,
    title: "the evidence cannot be written, so nothing was sent",
    remedy: "Try later; the owner can run `doorward status`.",
  },
  secret_unavailable: {
    status: 503,
    title: "the credential cannot be had, so nothing was sent",
    remedy: "The owner can run `doorward service test NAME`.",
  },
  store_unavailable: {
    status: 503,
    title: "the state cannot be read or written, so nothing was sent",
    remedy: "Try later; the owner can run `doorward status`.",
  },
  upstream_timeout: { status: 504, title: "the service did not answer in time", remedy: "Try later, or ask for less." },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Facts of one occurrence that cross the wire beside the message. Field names are those of the wire. */
export interface ProblemFields {
  readonly rule?: string;
  readonly approval_id?: string;
  readonly approval_url?: string;
  readonly expires_at?: string;
  /** The scopes that the token lacks, joined by spaces; becomes the challenge's (RFC 6750 §3). */
  readonly scope?: string;
  /** Seconds; becomes `Retry-After`. */
  readonly retry_after?: number;
}

export interface ProblemOptions {
  /** One clause for the caller: lower case, no full stop, input in backticks, never a secret. */
  readonly detail?: string;
  readonly remedy?: string;
  readonly fields?: ProblemFields;
  /** Headers of its answer over HTTP, lower case: a challenge. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** For the audit trail only: the precise reason. Never crosses the wire. */
  readonly reason?: string;
  readonly cause?: unknown;
}

/** A failure that the caller can act on. What it holds may be shown to an agent, except `reason` and `cause`. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly status: number;
  readonly title: string;
  readonly remedy: string;
  readonly fields: ProblemFields;
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** For the audit trail only. */
  readonly reason: string | undefined;

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    const kind = PROBLEMS[code];
    super(options.detail ?? kind.title, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Problem";
    this.code = code;
    this.status = kind.status;
    this.title = kind.title;
    this.remedy = options.remedy ?? kind.remedy;
    this.fields = options.fields ?? {};
    this.headers = options.headers;
    this.reason = options.reason;
  }
}
