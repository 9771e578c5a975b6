import type { JsonObject } from "../base/json.ts";
import type { Relay } from "../broker/upstream-call.ts";
import type { CanonicalMcpCall } from "../request/canonical-request.ts";

/** Of the protocol's own keys in `_meta`, the one that a caller may set: how much the server shall log. */
const LOG_LEVEL_KEY = "io.modelcontextprotocol/logLevel";
const OWN_PREFIX = /^(?:[a-z0-9-]+\.)*(?:modelcontextprotocol|mcp)(?:\.[a-z0-9-]+)*\//i;

/** What is sent upstream for a call that was decided on: what the decision saw, and the caller's trace context. */
export function callParams({ method, name, arguments: args }: CanonicalMcpCall, relay: Relay | undefined): JsonObject {
  const meta = relayedMeta(relay?.meta ?? {});
  const rest = Object.keys(meta).length === 0 ? {} : { _meta: meta };
  switch (method) {
    case "tools/call":
    case "prompts/get":
      return { name, arguments: args, ...rest };
    case "resources/read":
    case "resources/subscribe":
    case "resources/unsubscribe":
      return { uri: name, ...rest };
    case "completion/complete":
      return { ...args, ...rest };
    default:
      return method satisfies never;
  }
}

/** Neither the caller's protocol state nor its progress token mean anything upstream. */
function relayedMeta(meta: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(meta).filter(
      ([key]) => key === LOG_LEVEL_KEY || (key !== "progressToken" && key !== "__proto__" && !OWN_PREFIX.test(key)),
    ),
  );
}
