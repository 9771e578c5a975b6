import type { AuditEvent, AuditLog, CallTie } from "../audit/event.ts";
import type { JsonValue } from "../base/json.ts";
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
  return {
    ...common(call, decision),
    type: "call.decided",
    decision: "permit",
    rules: decision.rules,
    tie,
    data: {
      ...scopeOf(decision),
      ...context(call),
      ...described(request, digest),
      approval_id: approval,
      preview_of: call.own?.of,
      snapshot: snapshot.id,
    },
  };
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
  const held = problem.code === "approval_required";
  return {
    ...(decision === undefined ? common(call, undefined) : common(call, decision)),
    type: "call.decided",
    decision: held ? "ask" : "deny",
    rules: decision?.rules ?? [],
    code: problem.code,
    data: {
      ...(decision === undefined ? {} : scopeOf(decision)),
      ...context(call),
      ...(request === undefined ? raw(call) : described(request, digest)),
      approval_id: approval,
      reason: problem.reason ?? problem.message.slice(0, TEXT_LIMIT),
    },
  };
}

/** What became of it: durable before the answer's last byte is released. */
export function completedEvent(facts: {
  readonly call: CallRequest;
  readonly decision: Decision;
  readonly request: CanonicalRequest;
  readonly outcome: Outcome;
  readonly code: string | undefined;
  readonly tie: CallTie;
}): AuditEvent {
  const { call, decision, outcome, code, tie } = facts;
  return {
    ...common(call, decision),
    type: "call.completed",
    rules: NO_RULES,
    code,
    tie,
    data: {
      ...scopeOf(decision),
      status: outcome.status,
      bytes: outcome.bytes,
      redacted: outcome.redacted,
      truncated: outcome.truncated ? true : undefined,
      sent: outcome.sent ? undefined : false,
      duration_ms: outcome.durationMs,
      reason: outcome.reason,
    },
  };
}

function common(call: CallRequest, decision: Decision | undefined) {
  const { agent, tenant, user } = call.principal;
  const only = decision?.operations.length === 1 ? decision.operations[0]?.config.name : undefined;
  return { request_id: call.requestId, agent, tenant, user, service: call.service.slice(0, 64), operation: only };
}

function scopeOf({ operations }: Decision): Record<string, JsonValue> {
  const [first] = operations;
  if (first === undefined) return {};
  if (operations.length === 1) return { scope: first.scope };
  return { scopes: operations.map(({ scope }) => scope) };
}

function context({ door, principal, egress, raw }: CallRequest): Record<string, JsonValue | undefined> {
  return {
    door,
    ...(egress === undefined || raw.kind === "mcp" ? {} : { origin: raw.origin, during: egress.during }),
    client: principal.client,
    ip: principal.ip,
    environment: principal.environment,
    purpose: principal.purpose,
    task: principal.task,
    role: principal.stated?.role,
  };
}

/** Path in the clear, values of the query and the body as keyed digests and sizes. */
function described(request: CanonicalRequest, digest: Digest): Record<string, JsonValue | undefined> {
  const { method, path, query, body, dropped } = request;
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
function raw({ raw }: CallRequest): Record<string, JsonValue | undefined> {
  if (raw.kind === "mcp") return { method: raw.method, path: `/${raw.name.slice(0, TEXT_LIMIT)}` };
  const { method, target, body } = raw;
  const path = target.split(/[?#]/, 1)[0] ?? "";
  return { method: method.slice(0, 32), path: path.slice(0, TEXT_LIMIT), body_bytes: body?.length };
}
