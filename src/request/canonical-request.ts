import type { JsonObject } from "../base/json.ts";
import type { Content } from "./canonical-body.ts";
import type { PathSegment } from "./canonical-path.ts";
import type { QueryPair } from "./canonical-query.ts";
import type { McpItemKind, McpMethod } from "./mcp-call.ts";

/**
 * A request in its one form: the value that rules see is the value that is sent.
 *
 * `method`, `path`, `search`, `headers` and `body` are what goes out, byte for byte (before the credential is put on);
 * `segments`, `query` and `content` are readings of these.
 */
export interface CanonicalRequest {
  readonly service: string;
  readonly method: string;
  /** As sent: begins with `/`, ASCII. Relative to the service's base path. */
  readonly path: string;
  /** The path between its slashes; the last one is empty when the path ends in a slash. */
  readonly segments: readonly PathSegment[];
  /** Decoded, in order; without a value when there was no `=`. */
  readonly query: readonly QueryPair[];
  /** `""` or `?…`, as sent. */
  readonly search: string;
  /** As sent: lower-case names, sorted; without Doorward's own and the credential. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array | undefined;
  readonly content: Content;
  /** Lower-case names of the headers that were left out; always empty at the door `mcp`, but for those that the owner sets. */
  readonly dropped: readonly string[];
  /** Where it goes, `https://host[:port]`, when it came through the door `egress`; else to the service's own origin. */
  readonly origin: string | undefined;
  /** Set when it is an MCP call: then `path` is the item's name and `body` the JSON of the arguments. */
  readonly mcp: CanonicalMcpCall | undefined;
}

/** What is sent of an MCP call. */
export interface CanonicalMcpCall {
  readonly method: McpMethod;
  /** The upstream's own name of the item. */
  readonly name: string;
  readonly arguments: JsonObject;
  /** What the name is a name of. */
  readonly item: McpItemKind;
}
