import type { JsonValue } from "../base/json.ts";
import { hasFoldedDuplicates, parseStrictJson } from "../base/strict-json.ts";
import type { Header } from "./canonical-headers.ts";
import { decodeFormText, parsePairs } from "./canonical-query.ts";
import { type ContentType, parseContentType } from "./content-type.ts";
import { isMethodOverrideKey, isMethodOverrideProperty } from "./method-override.ts";
import { multipartFault } from "./multipart-fault.ts";
import { ambiguous, quote, type Refused, refused } from "./refusal.ts";

export const MAX_BODY_DEPTH = 64;

/** What rules and schemas can read of a body. */
export type Content =
  | { readonly kind: "none" }
  | {
      readonly kind: "json";
      readonly value: JsonValue;
      /**
       * Another reader may see another value: a number cannot be kept exactly, or two keys differ in case alone. What
       * decides by the value must refuse.
       */
      readonly lossy: boolean;
    }
  | { readonly kind: "form"; readonly value: { readonly [key: string]: string | readonly string[] } }
  | { readonly kind: "opaque"; readonly type: string };

export type CanonicalBody =
  | {
      readonly ok: true;
      /** As it came. */
      readonly body: Uint8Array | undefined;
      readonly content: Content;
      /** The content type to send where the agent named none: so that nobody guesses. */
      readonly type: string | undefined;
    }
  | Refused;

/** Where the agent names no type, the body is declared to be just bytes. */
const UNDECLARED_TYPE = "application/octet-stream";
const JSON_TYPE = /^[^/]+\/(?:json|[^/]+\+json)$/;
const FORM_TYPE = "application/x-www-form-urlencoded";
const MULTIPART_TYPE = /^multipart\//;
const UTF8 = new Set(["utf-8", "utf8", "us-ascii"]);
/** How far into an opaque body a lenient form reader's first keys are looked for. */
const SNIFFED_BYTES = 16 * 1024;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientUtf8 = new TextDecoder("utf-8");
const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");

/**
 * Reads a body as its content type says, and refuses what two readers could read in two ways. The bytes stay as they are.
 *
 * @param headers - Those that pass; at most one content type.
 */
export function canonicalBody(
  bytes: Uint8Array | undefined,
  context: { readonly headers: readonly Header[]; readonly limitBytes: number },
): CanonicalBody {
  const declared = context.headers.find(([name]) => name === "content-type")?.[1];
  const type = declared === undefined ? undefined : parseContentType(declared);
  if (type !== undefined && !type.ok) return type;
  if (bytes === undefined || bytes.length === 0) {
    return { ok: true, body: undefined, content: { kind: "none" }, type: undefined };
  }
  if (bytes.length > context.limitBytes) {
    return refused("too_large", `the body is larger than ${context.limitBytes} bytes`);
  }
  const content = readContent(bytes, type);
  if ("ok" in content) return content;
  return { ok: true, body: bytes, content, type: type === undefined ? UNDECLARED_TYPE : undefined };
}

function readContent(bytes: Uint8Array, type: ContentType | undefined): Content | Refused {
  if (type === undefined) return sniffed(bytes, UNDECLARED_TYPE);
  const { essence } = type;
  if (JSON_TYPE.test(essence)) return charsetFault(type) ?? readJson(bytes);
  if (essence === FORM_TYPE) return charsetFault(type) ?? readForm(bytes);
  if (MULTIPART_TYPE.test(essence)) return multipartFault(latin1(bytes), type) ?? { kind: "opaque", type: essence };
  return sniffed(bytes, essence);
}

function charsetFault({ charset, essence }: ContentType): Refused | undefined {
  if (charset === undefined || UTF8.has(charset)) return undefined;
  return ambiguous(`the charset ${quote(charset)} of ${essence} is not UTF-8`, "Send the body in UTF-8.");
}

function readJson(bytes: Uint8Array): Content | Refused {
  const parsed = parseStrictJson(bytes, { depth: MAX_BODY_DEPTH });
  if (!parsed.ok) {
    if (!isJson(bytes)) return refused("invalid_request", `the body is not JSON: ${parsed.problem}`);
    return ambiguous(
      `the JSON body cannot be read in one way: ${parsed.problem}`,
      "Send JSON in UTF-8, each key once.",
    );
  }
  const { value, lossy } = parsed;
  if (isRecord(value)) {
    const override = Object.keys(value).find(isMethodOverrideProperty);
    if (override !== undefined) return methodOverride("body", override);
  }
  return { kind: "json", value, lossy: lossy || foldsAnywhere(value) };
}

/** Whether it is JSON at all; asked of refused bodies alone, to tell a broken one from one with two readings. */
function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(lenientUtf8.decode(bytes));
    return true;
  } catch {
    return false;
  }
}

function isRecord(value: JsonValue): value is { readonly [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether some object has keys that differ in case alone, which readers that ignore case take for one. */
export function foldsAnywhere(value: JsonValue): boolean {
  if (Array.isArray(value)) return value.some(foldsAnywhere);
  if (!isRecord(value)) return false;
  if (hasFoldedDuplicates(Object.keys(value))) return true;
  for (const key in value) {
    const item = value[key] as JsonValue;
    if (typeof item === "object" && foldsAnywhere(item)) return true;
  }
  return false;
}

function readForm(bytes: Uint8Array): Content | Refused {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return ambiguous("the form is not valid UTF-8", "Send the form in UTF-8.");
  }
  if (text.includes(";")) {
    return ambiguous("the form holds a `;`, which some readers take for a separator", "Write `%3B`.");
  }
  if (text.charCodeAt(0) === 0xfeff) return ambiguous("the form begins with a byte order mark", "Leave it out.");
  const pairs = parsePairs(text.replace(/\r?\n$/, ""), "form");
  if (!pairs.ok) return pairs;
  const value = Object.create(null) as Record<string, string | string[]>;
  for (const [key, text = ""] of pairs.pairs) {
    if (key === "__proto__" || key.toLowerCase() === "_charset_") {
      return ambiguous(`the form key ${quote(key)} means something else to some readers`, "Leave the key out.");
    }
    const known = value[key];
    if (known === undefined) value[key] = text;
    else if (typeof known === "string") value[key] = [known, text];
    else known.push(text);
  }
  return { kind: "form", value };
}

/** A body that is not to be read; an upstream that reads any body as a form must not find a method override in it. */
function sniffed(bytes: Uint8Array, type: string): Content | Refused {
  const head = latin1(bytes.subarray(0, SNIFFED_BYTES));
  if (head.includes("=")) {
    for (const pair of head.split(/[&;]/)) {
      const key = decodeFormText(pair.slice(0, Math.max(0, pair.indexOf("="))));
      if (key !== undefined && key.length < 64 && isMethodOverrideKey(key)) return methodOverride("body", key);
    }
  }
  return { kind: "opaque", type };
}

function methodOverride(where: string, key: string): Refused {
  return ambiguous(
    `the ${where} key ${quote(key)} overrides the method`,
    "Send the request with the method that is meant.",
  );
}
