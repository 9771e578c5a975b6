import { isUtf8 } from "node:buffer";
import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Turns } from "../base/turns.ts";
import type { ByteBudget } from "../broker/byte-budget.ts";
import { type CollectedAnswer, collectAnswer } from "../broker/collect-answer.ts";
import type { Broker } from "../broker/create-broker.ts";
import { MAX_CONTEXT_CHARACTERS } from "../identity/principal.ts";
import { MAX_QUERY_PAIRS } from "../request/canonical-query.ts";
import type { RawRequest } from "../request/raw-request.ts";
import { isAscii, type Tool, type ToolContext, type ToolResult } from "./tool.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** An answer from this size on takes milliseconds to put into a message. */
const LARGE_BYTES = 256 * 1024;
/** An answer up to this size is put into its message while its evidence is written: many may be, one after the other. */
const PREPARED_BYTES = 16 * 1024;
/** Nothing longer or more can be sent: looked at first, since a message may be far larger than a request. */
const MAX_TARGET_CHARACTERS = 64 * 1024;
const MAX_HEADERS = 200;

export const REQUEST_INPUT = {
  type: "object",
  additionalProperties: false,
  required: ["service", "method", "path"],
  properties: {
    service: { type: "string", description: "A name that doorward_services lists" },
    method: { type: "string", enum: METHODS },
    path: { type: "string", description: "Begins with `/`, relative to the service; may carry `?query`" },
    query: {
      type: "object",
      description: "Query parameters; an array repeats the key",
      additionalProperties: {
        anyOf: [
          { type: ["string", "number", "boolean"] },
          { type: "array", items: { type: ["string", "number", "boolean"] } },
        ],
      },
    },
    headers: {
      type: "object",
      additionalProperties: { type: "string" },
      description: "Never credentials: Doorward adds them",
    },
    body: {
      description:
        'Any JSON value (sent as JSON); a text with a content-type header (sent as it is); or {"base64": "…"}',
    },
    purpose: { type: "string", description: "What the call is for, when the rules ask for it" },
  },
} as const satisfies JsonObject;

const OUTPUT = {
  type: "object",
  required: ["status", "headers", "body", "body_encoding", "truncated", "redacted", "request_id"],
  properties: {
    status: { type: "integer" },
    headers: { type: "object", additionalProperties: { type: "string" } },
    body: { type: "string" },
    body_encoding: { enum: ["utf8", "base64"] },
    truncated: { type: "boolean" },
    redacted: { type: "integer" },
    request_id: { type: "string" },
  },
} as const satisfies JsonObject;

/** `doorward_request`: one HTTP call to a service, with the credential put on by Doorward. */
export function createRequestTool(deps: {
  readonly broker: Broker;
  readonly budget: ByteBudget;
  /** Large answers are written into their messages one per turn of the event loop. */
  readonly turns: Turns;
  /** Where callers see a service over HTTP, for the links in its answers. */
  readonly publicBase: (service: string) => string;
}): Tool {
  return {
    definition: {
      name: "doorward_request",
      title: "Call an API",
      description:
        "Sends one HTTP request to a service. Doorward checks the rules, adds the credential and takes every trace of it out of the answer.",
      inputSchema: REQUEST_INPUT,
      outputSchema: OUTPUT,
      annotations: { openWorldHint: true },
    },
    async run(args, context) {
      const { service, raw, purpose } = readCall(args, context);
      const principal = purpose === undefined ? context.principal : { ...context.principal, purpose };
      const { requestId, signal, whenSent } = context;
      let result: ToolResult | undefined;
      const prepare = (answer: CollectedAnswer) => {
        if (answer.body.length <= PREPARED_BYTES) result = written(toResult(answer, requestId));
      };
      const answer = await collectAnswer(
        deps.broker.call,
        { requestId, door: "mcp", principal, service, raw, publicBase: deps.publicBase(service) },
        { budget: deps.budget, signal, whenSent, prepare },
      );
      if (result !== undefined) return result;
      if (answer.body.length > LARGE_BYTES) await deps.turns.next();
      return toResult(answer, requestId);
    },
  };
}

function toResult({ head, body, truncated, redacted }: CollectedAnswer, requestId: string): ToolResult {
  const kept = truncated ? withoutBrokenTail(body) : body;
  const isText = isUtf8(kept);
  const text = isText ? kept.toString("utf8") : kept.toString("base64");
  const headers: Record<string, string> = {};
  for (const [name, value] of head.headers)
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  const structuredContent = {
    status: head.status,
    headers,
    body: text,
    body_encoding: isText ? "utf8" : "base64",
    truncated,
    redacted,
    request_id: requestId,
  };
  return {
    content: [{ type: "text", text }],
    structuredContent,
    written() {
      const body = JSON.stringify(text);
      const rest = JSON.stringify({ ...structuredContent, body: undefined });
      const json = `"content":[{"type":"text","text":${body}}],"structuredContent":{"body":${body},${rest.slice(1)}`;
      return { json, ascii: isAscii(json) };
    },
  };
}

/** The same result, its text made ready. */
function written(result: ToolResult): ToolResult {
  const fields = result.written?.();
  return fields === undefined ? result : { ...result, written: () => fields };
}

/** A cut may fall inside a character; up to three bytes go, so that text stays text. */
function withoutBrokenTail(body: Buffer): Buffer {
  for (let cut = 0; cut < 4 && cut <= body.length; cut++) {
    const kept = body.subarray(0, body.length - cut);
    if (isUtf8(kept)) return kept;
  }
  return body;
}

/** The arguments of a request, as the broker takes them. Also what `doorward_explain` reads. */
export function readCall(
  args: JsonObject,
  { lossy }: Pick<ToolContext, "lossy">,
): { readonly service: string; readonly raw: RawRequest; readonly purpose: string | undefined } {
  const unknown = Object.keys(args).find((key) => !Object.hasOwn(REQUEST_INPUT.properties, key));
  if (unknown !== undefined) throw invalid(`there is no argument \`${unknown.slice(0, 64)}\``);
  const service = text(args, "service");
  const method = text(args, "method");
  const path = text(args, "path");
  if (!METHODS.includes(method)) throw invalid(`\`method\` must be one of ${METHODS.join(", ")}`);
  const purpose = args["purpose"] === undefined ? undefined : text(args, "purpose");
  if (purpose !== undefined && (purpose.length === 0 || purpose.length > MAX_CONTEXT_CHARACTERS))
    throw invalid(`\`purpose\` must have 1 to ${MAX_CONTEXT_CHARACTERS} characters`);
  if (path.length > MAX_TARGET_CHARACTERS) throw new Problem("too_large", { detail: "`path` is too long" });
  const headers = readHeaders(args["headers"]);
  const body = readBodyArgument(args["body"], headers, lossy);
  return { service, raw: { method, target: joinQuery(path, args["query"], lossy), headers, body }, purpose };
}

function readHeaders(value: JsonValue | undefined): [string, string][] {
  if (value === undefined) return [];
  if (!isObject(value)) throw invalid("`headers` must be an object of texts");
  if (Object.keys(value).length > MAX_HEADERS)
    throw new Problem("too_large", { detail: `there are more than ${MAX_HEADERS} headers` });
  return Object.entries(value).map(([name, header]) => {
    if (typeof header !== "string") throw invalid(`the header \`${name.slice(0, 64)}\` must be a text`);
    return [name.toLowerCase(), header];
  });
}

/** Joins `?query` of the path and `query`; a key in both is refused, since nobody could say which one counts. */
function joinQuery(path: string, value: JsonValue | undefined, lossy: boolean): string {
  if (value === undefined) return path;
  if (!isObject(value)) throw invalid("`query` must be an object");
  const pairs: string[] = [];
  const given = new Set(new URLSearchParams(path.includes("?") ? path.slice(path.indexOf("?") + 1) : "").keys());
  for (const [key, item] of Object.entries(value)) {
    if (given.has(key)) throw invalid(`the query key \`${key.slice(0, 64)}\` stands in \`path\` and in \`query\``);
    for (const one of Array.isArray(item) ? item : [item]) {
      if (pairs.length === MAX_QUERY_PAIRS)
        throw new Problem("too_large", { detail: `\`query\` has more than ${MAX_QUERY_PAIRS} pairs` });
      pairs.push(`${encode(key)}=${encode(scalar(key, one, lossy))}`);
    }
  }
  if (pairs.length === 0) return path;
  const separator = path.includes("?") ? (/[?&]$/.test(path) ? "" : "&") : "?";
  return `${path}${separator}${pairs.join("&")}`;
}

function scalar(key: string, value: JsonValue | undefined, lossy: boolean): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" && !lossy && (Number.isSafeInteger(value) || !Number.isInteger(value)))
    return String(value);
  throw invalid(
    `the query key \`${key.slice(0, 64)}\` must be a text, a number that is exact, a boolean, or a list of these`,
  );
}

function encode(value: string): string {
  try {
    return encodeURIComponent(value);
  } catch {
    throw invalid("`query` holds a broken character");
  }
}

function readBodyArgument(
  value: JsonValue | undefined,
  headers: [string, string][],
  lossy: boolean,
): Uint8Array | undefined {
  if (value === undefined) return undefined;
  const typed = headers.some(([name]) => name === "content-type");
  if (typeof value === "string" && typed) return Buffer.from(value, "utf8");
  if (isObject(value) && typeof value["base64"] === "string" && Object.keys(value).length === 1) {
    const bytes = Buffer.from(value["base64"], "base64");
    if (bytes.toString("base64").replace(/=+$/, "") !== value["base64"].replace(/=+$/, ""))
      throw invalid("`body.base64` is not Base64");
    return bytes;
  }
  if (lossy && typeof value !== "string") {
    throw new Problem("invalid_request", {
      detail: "a number of the body cannot be kept exactly",
      remedy: "Send the body as a text, with the header `content-type: application/json`.",
    });
  }
  if (!typed) headers.push(["content-type", "application/json"]);
  return Buffer.from(JSON.stringify(value), "utf8");
}

function text(args: JsonObject, name: string): string {
  const value = args[name];
  if (typeof value !== "string") throw invalid(`\`${name}\` must be a text`);
  return value;
}

function invalid(detail: string): Problem {
  return new Problem("invalid_request", { detail });
}
