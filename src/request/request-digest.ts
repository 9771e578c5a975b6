import { createHash } from "node:crypto";
import type { CanonicalRequest } from "./canonical-request.ts";

/** Headers that differ from one sending of the same call to the next. */
const PER_SENDING = new Set(["traceparent", "tracestate", "x-request-id", "baggage"]);
const VERSION = "doorward-request-1";

/**
 * Names "the same call": two calls have one digest only if agent, service, method, path, query, body and the headers
 * that pass are the same, trace and request ids aside.
 *
 * Each field is preceded by its length, and lists by their count, so that no two requests are written alike.
 *
 * @returns SHA-256 in hex.
 */
export function requestDigest({
  agent,
  request,
}: {
  readonly agent: string;
  readonly request: CanonicalRequest;
}): string {
  const hash = createHash("sha256");
  const headers = request.headers.filter(([name]) => !PER_SENDING.has(name));
  const fields = [VERSION, agent, request.service, request.method, request.path, request.search, `${headers.length}`];
  for (const [name, value] of headers) fields.push(name, value);
  if (request.origin !== undefined) fields.push("origin", request.origin);
  let head = "";
  for (const field of fields) head += `${Buffer.byteLength(field)}:${field}`;
  hash.update(head, "utf8");
  hash.update(request.body === undefined ? "-" : `${request.body.length}:`);
  if (request.body !== undefined) hash.update(request.body);
  return hash.digest("hex");
}
