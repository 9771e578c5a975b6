import { encodedSegmentRefusal } from "../request/canonical-path.ts";
import type { CanonicalMcpCall, CanonicalRequest } from "../request/canonical-request.ts";
import type { CompiledSchema } from "../request/json-schema.ts";
import { speaksOf } from "./operation-items.ts";
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
  if (request.mcp !== undefined) return matchItems(service, request, request.mcp);
  // What agents send to an MCP server is MCP; its endpoints are for the requests that the server itself makes.
  if (service.kind === "mcp" && request.origin === undefined) return noSuchItem(service);
  const found: MatchedOperation[] = [];
  let nearMiss: { scope: string; fault: string } | undefined;
  const lossy = request.content.kind === "json" && request.content.lossy;
  for (const { operation, params } of service.matcher.match(request)) {
    if (lossy && operation.body !== undefined) return inexact(operation);
    const fault = schemaFault(operation, request);
    if (fault === undefined) found.push({ operation, params });
    else if (nearMiss === undefined || operation.scope < nearMiss.scope) nearMiss = { scope: operation.scope, fault };
  }
  if (found.length > 0) {
    if (found.length > 1) found.sort((a, b) => (a.operation.scope < b.operation.scope ? -1 : 1));
    return { ok: true, matched: found };
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
  return refusedBySchema(nearMiss);
}

/** The same for an MCP call: by the item's name and the schema of its arguments. */
function matchItems(
  service: CompiledService,
  { content }: CanonicalRequest,
  call: CanonicalMcpCall,
): ReturnType<typeof matchOperations> {
  const matched: MatchedOperation[] = [];
  let nearMiss: { scope: string; fault: string } | undefined;
  for (const operation of service.operations.values()) {
    const { items, scope } = operation;
    if (items === undefined || !speaksOf(items, call)) continue;
    const schema = hasArguments(call) ? items.arguments : undefined;
    if (schema !== undefined && content.kind === "json" && content.lossy) return inexact(operation, "arguments");
    const fault = schema?.check(call.arguments);
    if (fault === undefined) matched.push({ operation, params: NO_PARAMS });
    else if (nearMiss === undefined || scope < nearMiss.scope) nearMiss = { scope, fault: `arguments ${fault}` };
  }
  if (matched.length > 0) {
    matched.sort((a, b) => (a.operation.scope < b.operation.scope ? -1 : 1));
    return { ok: true, matched };
  }
  return nearMiss === undefined ? noSuchItem(service, call) : refusedBySchema(nearMiss);
}

const NO_PARAMS: ReadonlyMap<string, string> = new Map();

/** The arguments of a completion are not those of its item, and a resource has none. */
function hasArguments({ method }: CanonicalMcpCall): boolean {
  return method === "tools/call" || method === "prompts/get";
}

function noSuchItem({ config }: CompiledService, call?: CanonicalMcpCall): Unmatched {
  return {
    ok: false,
    code: "unknown_operation",
    detail:
      call === undefined
        ? `\`${config.name}\` is an MCP server, which takes no HTTP requests`
        : `\`${config.name}\` has no operation for this ${call.item}`,
    remedy: "List what may be used with `doorward_services`.",
  };
}

function refusedBySchema({ scope, fault }: { readonly scope: string; readonly fault: string }): Unmatched {
  return {
    ok: false,
    code: "unknown_operation",
    detail: `\`${scope}\` does not take this request: ${fault}`,
    remedy: "Send what the operation's schema says; `doorward_services` shows it.",
  };
}

/** Whether a schema holds for a number must not hang on how it was rounded: the service may read it otherwise. */
function inexact({ scope }: CompiledOperation, part = "body"): Unmatched {
  return {
    ok: false,
    code: "not_canonical",
    detail: `the ${part} holds a number that cannot be read exactly, or keys that differ in case alone, and the schema of \`${scope}\` reads the ${part}`,
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
