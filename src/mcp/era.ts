import { isObject, type JsonObject } from "../base/json.ts";
import { RPC, RpcError, type RpcMessage, type RpcNotification, type RpcRequest } from "./json-rpc.ts";

/** Stateless revisions: each request says its own version, in `_meta` and in a header. */
export const MODERN_VERSIONS: readonly string[] = ["2026-07-28"];
/** Revisions with `initialize` and a session, newest first. */
export const LEGACY_VERSIONS: readonly string[] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

const VERSION_KEY = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_KEY = "io.modelcontextprotocol/clientInfo";

/** The standard headers of a POST, as they came (SEP-2243). */
export interface McpHeaders {
  readonly version: string | undefined;
  readonly method: string | undefined;
  readonly name: string | undefined;
}

export type Era = "modern" | "legacy";

/**
 * Tells which era a message belongs to, and holds a modern one to its envelope and headers.
 *
 * The body decides; headers must agree with it (a proxy that routes by header must not see another call than we run).
 *
 * @param headers - `undefined` on stdio, where there are none to agree with.
 * @throws {RpcError} `-32602` for a bad envelope, `-32020` for a disagreement, `-32022` for a version that we do not speak.
 */
export function classify(message: RpcMessage, headers: McpHeaders | undefined): Era {
  if (message.kind === "answer") return "legacy";
  const meta = isObject(message.params["_meta"]) ? message.params["_meta"] : undefined;
  const claimed = meta?.[VERSION_KEY];
  const headerIsModern = isModern(headers?.version);
  if (
    message.kind === "request" &&
    message.method === "initialize" &&
    !(typeof claimed === "string" && isModern(claimed))
  ) {
    if (headerIsModern)
      throw mismatch("`initialize` belongs to older revisions than the MCP-Protocol-Version header names");
    return "legacy";
  }
  if (claimed === undefined) {
    if (!headerIsModern) return "legacy";
    if (message.kind === "notification") return modernNotification(message, headers);
    throw badEnvelope(`_meta lacks ${VERSION_KEY}`);
  }
  if (typeof claimed !== "string") throw badEnvelope(`${VERSION_KEY} must be a string`);
  if (headers?.version !== undefined && headers.version !== claimed) {
    throw mismatch(`the body says ${claimed}, the MCP-Protocol-Version header ${headers.version}`);
  }
  // Only the stateless revisions claim a version in each message, so any claim is answered as they do.
  if (message.kind === "notification") return modernNotification(message, headers);
  checkEnvelope(meta!);
  if (!MODERN_VERSIONS.includes(claimed)) {
    throw new RpcError(RPC.unsupportedVersion, `protocol version ${claimed} is not supported`, {
      status: 400,
      data: { supported: [...MODERN_VERSIONS], requested: claimed },
    });
  }
  if (headers !== undefined) checkHeaders(message, headers);
  return "modern";
}

/** Notifications have no envelope to hold them to, and may leave the headers out; what they state must agree. */
function modernNotification({ method }: RpcNotification, headers: McpHeaders | undefined): Era {
  if (headers?.method !== undefined && headers.method !== method)
    throw mismatch(`the body names \`${method}\`, the Mcp-Method header another`);
  return "modern";
}

/** Whether a version is not one of the older revisions: then it is a newer one, or none at all. */
function isModern(version: string | undefined): boolean {
  return version !== undefined && !LEGACY_VERSIONS.includes(version);
}

function checkEnvelope(meta: JsonObject): void {
  if (!isObject(meta[CAPABILITIES_KEY])) throw badEnvelope(`_meta lacks ${CAPABILITIES_KEY}`);
  const client = meta[CLIENT_KEY];
  if (client === undefined) return;
  if (!isObject(client) || typeof client["name"] !== "string" || typeof client["version"] !== "string") {
    throw badEnvelope(`${CLIENT_KEY} must have a name and a version`);
  }
}

/** Methods whose `Mcp-Name` header repeats a field of the params. */
const NAMED = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"],
]);

function checkHeaders({ method, params }: RpcRequest, headers: McpHeaders): void {
  if (headers.version === undefined) throw mismatch("the MCP-Protocol-Version header is missing");
  if (headers.method === undefined) throw mismatch("the Mcp-Method header is missing");
  if (headers.method !== method) throw mismatch(`the body names \`${method}\`, the Mcp-Method header another`);
  const field = NAMED.get(method);
  if (field === undefined) return;
  const value = params[field];
  if (headers.name === undefined) {
    if (typeof value === "string") throw mismatch("the Mcp-Name header is missing");
    return;
  }
  const decoded = decodeSentinel(headers.name);
  if (decoded === undefined) throw mismatch("the Mcp-Name header is not valid Base64");
  if (typeof value === "string" && decoded !== value)
    throw mismatch(`the Mcp-Name header differs from params.${field}`);
}

/** Reads `=?base64?…?=`, the form for values that cannot stand in a header; `undefined` when it is not valid. */
export function decodeSentinel(value: string): string | undefined {
  const encoded = /^=\?base64\?(.*)\?=$/i.exec(value)?.[1];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64") !== encoded) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function mismatch(why: string): RpcError {
  return new RpcError(RPC.headerMismatch, `headers and body disagree: ${why}`, { status: 400 });
}

function badEnvelope(why: string): RpcError {
  return new RpcError(RPC.invalidParams, `the request's envelope is not valid: ${why}`, { status: 400 });
}
