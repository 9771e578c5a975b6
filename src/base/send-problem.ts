import type { ServerResponse } from "node:http";
import type { Problem } from "./problem.ts";

/** The contract's refusal over HTTP, as it stands on the wire. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly remedy: string;
  readonly request_id: string;
  readonly [field: string]: string | number;
}

/** Builds the problem document of one occurrence (RFC 9457). Nothing in it is for the audit trail only. */
export function problemDocument(problem: Problem, requestId: string): ProblemDocument {
  return {
    type: `urn:doorward:problem:${problem.code}`,
    title: problem.title,
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    remedy: problem.remedy,
    request_id: requestId,
    ...problem.fields,
  };
}

/**
 * The same refusal where SDKs of vendors look for one. Stripe's takes an answer without `error` for a success, whatever
 * its status: a refused charge would be taken for one that was made.
 */
function withSdkError(document: ProblemDocument): object {
  const { code, detail, remedy, request_id } = document;
  const message = `${detail}. ${remedy} (${request_id})`;
  return { ...document, error: { type: "doorward_refusal", code, message } };
}

/** What a 401 must say (RFC 6750 §3); the words never tell why. */
const CHALLENGE = 'Bearer realm="doorward", error="invalid_token"';

/** Names of operations have no character that would need quoting. */
function scopeChallenge(scope: string): string {
  return `Bearer realm="doorward", error="insufficient_scope", scope="${scope}"`;
}

/**
 * Sends a refusal. Does nothing when the head is out already: cut the connection then.
 *
 * @param headers - More headers of this refusal (`Allow`, `Connection`).
 * @param finish - Sends the body and ends the answer; for who must not end the connection yet.
 */
export function sendProblem(
  response: ServerResponse,
  problem: Problem,
  requestId: string,
  headers: Record<string, string> = {},
  finish: (body: Buffer | undefined) => void = (body) => response.end(body),
): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(JSON.stringify(withSdkError(problemDocument(problem, requestId))));
  const retryAfter = problem.fields.retry_after;
  response.writeHead(problem.status, {
    "content-type": "application/problem+json",
    "content-length": body.length,
    "cache-control": "no-store",
    "doorward-request-id": requestId,
    "doorward-error": problem.code,
    ...(problem.status === 401 ? { "www-authenticate": CHALLENGE } : {}),
    ...(problem.fields.scope === undefined ? {} : { "www-authenticate": scopeChallenge(problem.fields.scope) }),
    ...(retryAfter === undefined ? {} : { "retry-after": String(Math.max(1, Math.ceil(retryAfter))) }),
    ...problem.headers,
    ...headers,
  });
  finish(response.req.method === "HEAD" ? undefined : body);
}
