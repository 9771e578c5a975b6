import type { ServerIdentity } from "./dispatch.ts";
import type { Era } from "./era.ts";

const SERVER_INFO = "io.modelcontextprotocol/serverInfo";

/** What a client may do with an answer: each caller has its own, so no answer is shared. */
export interface CacheHints {
  readonly ttlMs: number;
}

/** Gives a result the form that its era has: stateless clients are told who answered, and whether it is whole. */
export function finishResult(
  result: { readonly [field: string]: unknown },
  {
    era,
    server,
    cache,
  }: { readonly era: Era; readonly server: ServerIdentity; readonly cache?: CacheHints | undefined },
): object {
  if (era === "legacy") {
    const { resultType: _, ...rest } = result;
    return rest;
  }
  const meta = typeof result["_meta"] === "object" ? result["_meta"] : {};
  return {
    ...result,
    resultType: result["resultType"] ?? "complete",
    ...(cache === undefined ? {} : { ttlMs: cache.ttlMs, cacheScope: "private" }),
    _meta: { ...meta, [SERVER_INFO]: server },
  };
}
