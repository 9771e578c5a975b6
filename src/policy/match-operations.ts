import { encodedSegmentRefusal } from "../request/canonical-path.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import type { CompiledSchema } from "../request/json-schema.ts";
import type { CompiledOperation, CompiledService } from "./snapshot.ts";

/** An operation that a request matches: its path pattern and its schemas. */
export interface MatchedOperation {
  readonly operation: CompiledOperation;
  /** Decoded path parameters. */
  readonly params: ReadonlyMap<string, string>;
}

/** Why a request is no operation: what is at fault, as a part or schema path, never as a value of the request. */
interface Unmatched {
  readonly ok: false;
  readonly code: "unknown_operation" | "not_canonical";
  readonly detail: string;
  readonly remedy: string;
}

/**
 * Finds every operation that a request matches, by scope.
 *
 * The schemas are part of the match: a request that an operation's schema refuses is not that operation.
 */
export function matchOperations(
  service: CompiledService,
  request: CanonicalRequest,
): { ok: true; matched: readonly MatchedOperation[] } | Unmatched {
  const found = new Map<string, MatchedOperation>();
  let nearMiss: { scope: string; fault: string } | undefined;
  const lossy = request.content.kind === "json" && request.content.lossy;
  for (const { operation, params } of service.matcher.match(request)) {
    if (lossy && operation.body !== undefined) return inexact(operation);
    const fault = schemaFault(operation, request);
    if (fault === undefined) found.set(operation.scope, { operation, params });
    else if (nearMiss === undefined || operation.scope < nearMiss.scope) nearMiss = { scope: operation.scope, fault };
  }
  if (found.size > 0) {
    const matched = [...found.values()];
    matched.sort((a, b) => (a.operation.scope < b.operation.scope ? -1 : 1));
    return { ok: true, matched };
  }
  if (nearMiss === undefined) {
    const ambiguous = encodedSegmentRefusal(request.segments);
    if (ambiguous !== undefined) {
      const { message, remedy } = ambiguous.problem;
      return { ok: false, code: "not_canonical", detail: message, remedy };
    }
    return {
      ok: false,
      code: "unknown_operation",
      detail: `\`${service.config.name}\` has no operation for this method and path`,
      remedy: "List the endpoints with `doorward_services`.",
    };
  }
  return {
    ok: false,
    code: "unknown_operation",
    detail: `\`${nearMiss.scope}\` does not take this request: ${nearMiss.fault}`,
    remedy: "Send what the operation's schema says; `doorward_services` shows it.",
  };
}

/** Whether a schema holds for a number must not hang on how it was rounded: the service may read it otherwise. */
function inexact({ scope }: CompiledOperation): Unmatched {
  return {
    ok: false,
    code: "not_canonical",
    detail: `the body holds a number that cannot be read exactly, or keys that differ in case alone, and the schema of \`${scope}\` reads the body`,
    remedy: "Send the number as a string or with fewer digits, and each key once.",
  };
}

function schemaFault({ query, body }: CompiledOperation, request: CanonicalRequest): string | undefined {
  if (query !== undefined) {
    const fault = query.check(request.query);
    if (fault !== undefined) return `query ${fault}`;
  }
  return body === undefined ? undefined : bodyFault(body, request);
}

function bodyFault(schema: CompiledSchema, { content }: CanonicalRequest): string | undefined {
  switch (content.kind) {
    case "none":
      return "body is missing";
    case "opaque":
      return "body is neither JSON nor a form";
    case "json":
      return inBody(schema.check(content.value));
    case "form":
      return inBody(schema.checkForm(content.value));
    default:
      return content satisfies never;
  }
}

function inBody(fault: string | undefined): string | undefined {
  return fault === undefined ? undefined : `body ${fault}`;
}
