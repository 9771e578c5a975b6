import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";

/** JSON-RPC 2.0 as MCP uses it: ids are strings or integers, never null. */
export type RequestId = string | number;

export interface RpcRequest {
  readonly kind: "request";
  readonly id: RequestId;
  readonly method: string;
  readonly params: JsonObject;
}

export interface RpcNotification {
  readonly kind: "notification";
  readonly method: string;
  readonly params: JsonObject;
}

/** An answer to a request of ours. */
export interface RpcAnswer {
  readonly kind: "answer";
  readonly id: RequestId;
  /** `undefined` when it is an error, or no object. */
  readonly result: JsonObject | undefined;
}

export type RpcMessage = RpcRequest | RpcNotification | RpcAnswer;

/** @see JSON-RPC 2.0 §5.1; the -3202x codes are MCP 2026-07-28's. */
export const RPC = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  sessionNotFound: -32001,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

/** A protocol error: the message was not carried out as a tool call at all. */
export class RpcError extends Error {
  readonly code: number;
  /** HTTP status when it is found before dispatch; in-band errors are 200. */
  readonly status: number;
  readonly data: JsonValue | undefined;
  /** Whether the broker judged the request, so that it is on record already. */
  readonly judged: boolean;

  constructor(
    code: number,
    message: string,
    options: { readonly status?: number; readonly data?: JsonValue; readonly judged?: true } = {},
  ) {
    super(message);
    this.code = code;
    this.judged = options.judged ?? false;
    this.status = options.status ?? 200;
    this.data = options.data;
  }
}

/**
 * Reads one parsed JSON value as one JSON-RPC message.
 *
 * @throws {RpcError} `-32600` for batches (no revision that we serve has them) and for anything that is not a message.
 */
export function parseMessage(value: JsonValue): RpcMessage {
  const malformed = (why: string) => new RpcError(RPC.invalidRequest, why, { status: 400 });
  if (Array.isArray(value)) throw malformed("batches are not supported; send one message at a time");
  if (!isObject(value) || value["jsonrpc"] !== "2.0")
    throw malformed('not a JSON-RPC message: `jsonrpc` must be "2.0"');
  const { id, method, params = {} } = value;
  const hasId = Object.hasOwn(value, "id");
  if (hasId && typeof id !== "string" && !Number.isSafeInteger(id)) {
    throw malformed("not a JSON-RPC message: `id` must be a string or an integer");
  }
  if (method === undefined) {
    const answers = Object.hasOwn(value, "result") !== Object.hasOwn(value, "error");
    if (!hasId || !answers) throw malformed("not a JSON-RPC message: no `method`");
    return { kind: "answer", id: id as RequestId, result: isObject(value["result"]) ? value["result"] : undefined };
  }
  if (typeof method !== "string") throw malformed("not a JSON-RPC message: `method` must be a string");
  if (!isObject(params)) throw malformed("`params` must be an object");
  if (Object.hasOwn(value, "result") || Object.hasOwn(value, "error")) throw malformed("both a request and an answer");
  return hasId ? { kind: "request", id: id as RequestId, method, params } : { kind: "notification", method, params };
}

/** A result that is JSON already. */
export class WrittenResult {
  readonly json: string;
  /** Whether it is known to be ASCII, so that its characters are its bytes. */
  readonly ascii: boolean;

  constructor(json: string, ascii: boolean) {
    this.json = json;
    this.ascii = ascii;
  }
}

/** The wire form of an answer. */
export function resultMessage(id: RequestId, result: object): string {
  const json = result instanceof WrittenResult ? result.json : JSON.stringify(result);
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${json}}`;
}

/** The wire form of a notification. */
export function notificationMessage(method: string, params: JsonObject): string {
  return JSON.stringify({ jsonrpc: "2.0", method, params });
}

/** The wire form of a request to the client. */
export function requestMessage(id: RequestId, method: string, params: JsonObject): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

/** The wire form of a protocol error; without an id when the message's own could not be read. */
export function errorMessage(id: RequestId | undefined, error: RpcError): string {
  return JSON.stringify({
    jsonrpc: "2.0",
    id: id ?? null,
    error: { code: error.code, message: error.message, ...(error.data === undefined ? {} : { data: error.data }) },
  });
}
