import type { IncomingHttpHeaders } from "node:http";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { mcpParams } from "../upstreams/mcp-param-headers.ts";
import { decodeSentinel } from "./era.ts";
import { RPC } from "./json-rpc.ts";

const DECIMAL = /^-?\d+(\.\d+)?$/;

/** An error in the words of JSON-RPC. */
export interface HeaderFault {
  readonly code: number;
  readonly message: string;
}

/**
 * Holds the `Mcp-Param-…` headers of a call to its arguments, where the tool says that they repeat them: a proxy that
 * routes by them must not see another call than the one that is run. Other headers of such names are ignored.
 *
 * @returns `-32020` when one is missing, unreadable or says something else. Never throws.
 * @see SEP-2243
 */
export function checkParamHeaders(
  inputSchema: JsonValue | undefined,
  args: JsonObject,
  headers: IncomingHttpHeaders,
): HeaderFault | undefined {
  for (const [name, value] of mcpParams(inputSchema, args)) {
    const header = headers[name.toLowerCase()];
    if (typeof header !== "string") return mismatch(`the header ${name} is missing`);
    const decoded = decodeSentinel(header.trim());
    if (decoded === undefined) return mismatch(`the header ${name} is not valid Base64`);
    const same =
      typeof value === "number" && DECIMAL.test(decoded) ? Number(decoded) === value : decoded === `${value}`;
    if (!same) return mismatch(`the header ${name} differs from the argument`);
  }
  return undefined;
}

function mismatch(why: string): HeaderFault {
  return { code: RPC.headerMismatch, message: `headers and body disagree: ${why}` };
}
