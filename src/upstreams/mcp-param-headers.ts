import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";

const KEY = "x-mcp-header";
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible ASCII, and spaces that do not stand at an end; not what itself looks encoded. */
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const SENTINEL = /^=\?base64\?.*\?=$/i;
/** Levels of `properties` that are looked through. */
const DEPTH_MAX = 16;

/**
 * The headers that repeat some of a tool's arguments, so that a proxy can route by them (SEP-2243).
 *
 * @param inputSchema - As the upstream listed it; what it declares wrongly has no header.
 * @returns Names `Mcp-Param-…`; absent, null and structured arguments have none.
 */
export function mcpParamHeaders(inputSchema: JsonValue | undefined, args: JsonObject): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of mcpParams(inputSchema, args)) headers[name] = encode(String(value));
  return headers;
}

/** The arguments that a header repeats, by the header's name `Mcp-Param-…`. */
export function mcpParams(
  inputSchema: JsonValue | undefined,
  args: JsonObject,
): ReadonlyMap<string, string | number | boolean> {
  const params = new Map<string, string | number | boolean>();
  collect(inputSchema, args, params, 0);
  return params;
}

function collect(
  schema: JsonValue | undefined,
  value: JsonValue | undefined,
  into: Map<string, string | number | boolean>,
  depth: number,
) {
  if (!isObject(schema) || depth > DEPTH_MAX) return;
  const name = schema[KEY];
  if (typeof name === "string" && TOKEN.test(name) && depth > 0) {
    if (isCarried(value)) into.set(`Mcp-Param-${name}`, value);
  }
  const properties = schema["properties"];
  if (!isObject(properties) || !isObject(value)) return;
  for (const [key, child] of Object.entries(properties)) {
    if (Object.hasOwn(value, key)) collect(child, value[key], into, depth + 1);
  }
}

function isCarried(value: JsonValue | undefined): value is string | number | boolean {
  if (typeof value === "number") return Number.isSafeInteger(value) || !Number.isInteger(value);
  return typeof value === "string" || typeof value === "boolean";
}

function encode(text: string): string {
  if (PLAIN.test(text) && !SENTINEL.test(text)) return text;
  return `=?base64?${Buffer.from(text, "utf8").toString("base64")}?=`;
}
