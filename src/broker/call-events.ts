import type { AuditEvent, AuditLog, CallTie } from "../audit/event.ts";
import type { Problem } from "../base/problem.ts";
import type { Decision } from "../policy/decide.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { CanonicalRequest } from "../request/canonicalise.ts";
import type { CallRequest } from "./call-request.ts";

/** What became of a call that was sent, or should have been. */
export interface Outcome {
  readonly status: number | undefined;
  /** Of the body, as released. */
  readonly bytes: number;
  readonly redacted: number;
  readonly truncated: boolean;
  /** Whether anything was handed to the upstream. */
  readonly sent: boolean;
  readonly durationMs: number;
  /** The precise reason of a failure; for the evidence alone. */
  readonly reason: string | undefined;
}

type Digest = AuditLog["digest"];

/** Characters of a path, or of an agent's words, that are kept in the evidence. */
const TEXT_LIMIT = 1_024;

/** Characters of a service's name that are kept: no longer one exists. */
const SERVICE_LIMIT = 64;

type Operations = Decision["operations"];
type Text = string | undefined;
type Data = NonNullable<AuditEvent["data"]>;

const NO_RULES: readonly string[] = [];

/** The fact that a call may go: durable before the credential is touched. */
export function decidedEvent(facts: {
  readonly call: CallRequest;
  readonly snapshot: Snapshot;
  readonly decision: Decision;
  readonly request: CanonicalRequest;
  readonly approval: string | undefined;
  readonly digest: Digest;
  readonly tie: CallTie;
}): AuditEvent {
  const { call, snapshot, decision, request, approval, digest, tie } = facts;
  const preview_of = call.own?.of;
  const extra = { approval_id: approval, preview_of, snapshot: snapshot.id, reason: undefined };
  return callEvent(call, decision.operations, {
    type: "call.decided",
    decision: "permit",
    rules: decision.rules,
    code: undefined,
    tie,
    data: decisionData(call, decision.operations, described(request, digest), extra),
  });
}

/** The fact that a call was denied or held: the only event of its request id. */
export function refusedEvent(facts: {
  readonly call: CallRequest;
  readonly problem: Problem;
  readonly decision: Decision | undefined;
  readonly request: CanonicalRequest | undefined;
  readonly approval: string | undefined;
  readonly digest: Digest;
}): AuditEvent {
  const { call, problem, decision, request, approval, digest } = facts;
  const operations = decision?.operations ?? [];
  const reason = problem.reason ?? problem.message.slice(0, TEXT_LIMIT);
  const extra = { approval_id: approval, preview_of: undefined, snapshot: undefined, reason };
  return callEvent(call, operations, {
    type: "call.decided",
    decision: problem.code === "approval_required" ? "ask" : "deny",
    rules: decision?.rules ?? [],
    code: problem.code,
    tie: undefined,
    data: decisionData(call, operations, request === undefined ? raw(call) : described(request, digest), extra),
  });
}

/** What became of it: durable before the answer's last byte is released. */
export function completedEvent(facts: {
  readonly call: CallRequest;
  readonly decision: Decision;
  readonly outcome: Outcome;
  readonly code: string | undefined;
  readonly tie: CallTie;
}): AuditEvent {
  const { call, decision, outcome, code, tie } = facts;
  const { operations } = decision;
  return callEvent(call, operations, {
    type: "call.completed",
    decision: undefined,
    rules: NO_RULES,
    code,
    tie,
    data: {
      scope: onlyOf(operations)?.scope,
      scopes: scopesOf(operations),
      status: outcome.status,
      bytes: outcome.bytes,
      redacted: outcome.redacted,
      truncated: outcome.truncated ? true : undefined,
      sent: outcome.sent ? undefined : false,
      duration_ms: outcome.durationMs,
      reason: outcome.reason,
    },
  });
}

// The events are written out key by key: put together from parts with `...` they cost every call as much again.

function callEvent(
  call: CallRequest,
  operations: Operations,
  own: Pick<AuditEvent, "type" | "decision" | "rules" | "code" | "tie"> & { readonly data: Data },
): AuditEvent {
  const { agent, tenant, user } = call.principal;
  return {
    type: own.type,
    request_id: call.requestId,
    agent,
    tenant,
    user,
    service: call.service.slice(0, SERVICE_LIMIT),
    operation: onlyOf(operations)?.config.name,
    decision: own.decision,
    rules: own.rules,
    code: own.code,
    tie: own.tie,
    data: own.data,
  };
}

function onlyOf(operations: Operations): Operations[number] | undefined {
  return operations.length === 1 ? operations[0] : undefined;
}

/** Of a call that several operations match. */
function scopesOf(operations: Operations): readonly string[] | undefined {
  return operations.length > 1 ? operations.map(({ scope }) => scope) : undefined;
}

function decisionData(
  { door, principal, egress, raw }: CallRequest,
  operations: Operations,
  { method, path, query, body, body_bytes, dropped }: Described,
  { approval_id, preview_of, snapshot, reason }: Record<"approval_id" | "preview_of" | "snapshot" | "reason", Text>,
): Data {
  const { client, ip, environment, purpose, task } = principal;
  const program = raw.kind === "mcp" ? undefined : egress;
  return {
    scope: onlyOf(operations)?.scope,
    scopes: scopesOf(operations),
    door,
    origin: program === undefined || raw.kind === "mcp" ? undefined : raw.origin,
    during: program?.during,
    client,
    ip,
    environment,
    purpose,
    task,
    role: principal.stated?.role,
    method,
    path,
    query,
    body,
    body_bytes,
    dropped,
    approval_id,
    preview_of,
    snapshot,
    reason,
  };
}

interface Described {
  readonly method: string;
  readonly path: string;
  readonly query: readonly (readonly string[])[] | undefined;
  readonly body: Text;
  readonly body_bytes: number | undefined;
  readonly dropped: readonly string[] | undefined;
}

/** Path in the clear, values of the query and the body as keyed digests and sizes. */
function described({ method, path, query, body, dropped }: CanonicalRequest, digest: Digest): Described {
  return {
    method,
    path: path.slice(0, TEXT_LIMIT),
    query: query.length === 0 ? undefined : query.map(([key, value]) => [key.slice(0, 128), digest(value ?? "")]),
    body: body === undefined ? undefined : digest(body),
    body_bytes: body?.length,
    dropped: dropped.length === 0 ? undefined : dropped.map((name) => name.slice(0, 64)).slice(0, 32),
  };
}

/** What is known of a request that has no canonical form: its method and path, without the query's values. */
function raw({ raw }: CallRequest): Described {
  const unknown = { query: undefined, body: undefined, dropped: undefined };
  if (raw.kind === "mcp")
    return { method: raw.method, path: `/${raw.name.slice(0, TEXT_LIMIT)}`, body_bytes: undefined, ...unknown };
  const { method, target, body } = raw;
  const path = target.split(/[?#]/, 1)[0] ?? "";
  return { method: method.slice(0, 32), path: path.slice(0, TEXT_LIMIT), body_bytes: body?.length, ...unknown };
}
