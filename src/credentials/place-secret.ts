import type { EnvCredentialConfig } from "../config/schema.ts";
import type { Content } from "../request/canonical-body.ts";

/** The parts of a request that a placeholder can stand in. */
export interface PlaceableRequest {
  /** Lower-case names. */
  readonly headers: readonly (readonly [string, string])[];
  /** `""`, or `?…` as it will be sent. */
  readonly search: string;
  readonly body: Uint8Array | undefined;
  readonly content: Content;
}

/** What became of the parts, and what of them amounts to the text that was put in. */
export interface Placed {
  readonly headers: readonly (readonly [string, string])[];
  readonly search: string;
  readonly body: Uint8Array | undefined;
  /** How many placeholders were replaced. */
  readonly count: number;
  /** `user:password` pairs that hold the text. */
  readonly pairs: readonly string[];
}

/** Headers that by their name carry a credential, and those that only sound so. */
const CREDENTIAL_HEADER = /auth|token|key|secret|credential|passw|session|signature/;
const OTHER_HEADER = /idempot|cache|request|correlation|trace|surrogate|public-key|sec-websocket/;
/** `PH`, `Bearer PH`, `Token token="PH"`: a scheme, a name, quotes, and nothing else. */
const HEADER_FORM = /^((?:[A-Za-z][A-Za-z0-9_-]{0,31} )?(?:[A-Za-z][A-Za-z0-9_-]{0,31}=)?)("?)([^\s"]+)("?)$/;
/** Characters of `\u0041`. */
const LONGEST_ESCAPE = 6;
const BASIC_FORM = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Puts a text in for a placeholder, in one place of a request and nowhere else; all other bytes stay as they are.
 *
 * Whether a request may have its key is judged with this function (with nothing put in, no placeholder may be left), and
 * it is what puts the key in: the two cannot differ.
 *
 * - `header`: the whole value of a header whose name says that it carries a credential, or what follows a scheme
 *   (`Bearer`, `token`), or user name or password of `Basic`.
 * - `query`: the whole value of a parameter. `body`: the whole value of a JSON string or a form field.
 */
export function placeText(
  request: PlaceableRequest,
  { placeholder, place, text }: { placeholder: string; place: EnvCredentialConfig["place"]; text: string },
): Placed {
  const swap = createSwap(placeholder, text);
  const { headers, search, body, content } = request;
  switch (place) {
    case "header": {
      const replaced = headers.map(([name, value]) => [name, swap.header(name, value)] as const);
      return { headers: replaced, search, body, count: swap.count(), pairs: swap.pairs };
    }
    case "query":
      return { headers, search: swap.query(search), body, count: swap.count(), pairs: [] };
    case "body": {
      const replaced = body === undefined ? undefined : swap.body(body, content);
      return { headers, search, body: replaced, count: swap.count(), pairs: [] };
    }
    default:
      return place satisfies never;
  }
}

function createSwap(placeholder: string, text: string) {
  let count = 0;
  const pairs: string[] = [];
  const put = (found: string, written: string): string => {
    if (found !== placeholder) return found;
    count += 1;
    return written;
  };
  const pair = (piece: string): string => {
    const equals = piece.indexOf("=");
    if (equals === -1 || decodeFormValue(piece.slice(equals + 1)) !== placeholder) return piece;
    return `${piece.slice(0, equals + 1)}${put(placeholder, percentEncode(text))}`;
  };
  const basic = (value: string, encoded: string): string => {
    const decoded = decodeUtf8(Buffer.from(encoded, "base64"));
    const colon = decoded?.indexOf(":") ?? -1;
    if (decoded === undefined || colon === -1) return value;
    const before = count;
    const filled = `${put(decoded.slice(0, colon), text)}:${put(decoded.slice(colon + 1), text)}`;
    if (count === before) return value;
    pairs.push(filled);
    return `Basic ${Buffer.from(filled, "utf8").toString("base64")}`;
  };
  return {
    pairs,
    count: () => count,
    header(name: string, value: string): string {
      if (!carriesCredential(name)) return value;
      const [, encoded] = BASIC_FORM.exec(value) ?? [];
      if (encoded !== undefined) return basic(value, encoded);
      const [, scheme = "", open = "", found = "", close = ""] = HEADER_FORM.exec(value) ?? [];
      return found === placeholder && open === close ? scheme + open + put(found, text) + close : value;
    },
    query: (search: string): string => (search === "" ? "" : `?${search.slice(1).split("&").map(pair).join("&")}`),
    body(bytes: Uint8Array, content: Content): Uint8Array {
      const read = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
      const before = count;
      const written =
        content.kind === "json"
          ? mapJsonStrings(read, (token) =>
              isString(token, placeholder) ? asLatin1(put(placeholder, JSON.stringify(text))) : token,
            )
          : content.kind === "form"
            ? asForm(read, pair)
            : read;
      return count === before ? bytes : Buffer.from(written, "latin1");
    },
  };
}

/** Whether a header's name says that it carries a credential: nowhere else would a server keep its value to itself. */
export function carriesCredential(name: string): boolean {
  return CREDENTIAL_HEADER.test(name) && !OTHER_HEADER.test(name);
}

/** Whether a JSON string, quotes included, says just this; each of its characters may be escaped. */
function isString(token: string, text: string): boolean {
  const length = token.length - 2;
  if (length < text.length || length > text.length * LONGEST_ESCAPE) return false;
  return token.includes("\\") ? JSON.parse(token) === text : token.slice(1, -1) === text;
}

/** Maps the string values, not the keys, of a JSON text that has been parsed before; the rest stays byte for byte. */
function mapJsonStrings(json: string, map: (token: string) => string): string {
  let written = "";
  let copied = 0;
  for (let at = json.indexOf('"'); at !== -1; at = json.indexOf('"', at)) {
    let end = at + 1;
    while (json[end] !== '"') end += json[end] === "\\" ? 2 : 1;
    end += 1;
    if (!isKey(json, end)) {
      const token = json.slice(at, end);
      const mapped = map(token);
      if (mapped !== token) {
        written += json.slice(copied, at) + mapped;
        copied = end;
      }
    }
    at = end;
  }
  return written + json.slice(copied);
}

/** Whether what ends here is a key: a colon follows. */
function isKey(json: string, end: number): boolean {
  let at = end;
  while (json[at] === " " || json[at] === "\t" || json[at] === "\r" || json[at] === "\n") at += 1;
  return json[at] === ":";
}

/** One line break at the end is not the last field's. */
function asForm(form: string, pair: (piece: string) => string): string {
  const end = /\r?\n$/.exec(form)?.[0] ?? "";
  return (
    form
      .slice(0, form.length - end.length)
      .split("&")
      .map(pair)
      .join("&") + end
  );
}

function decodeFormValue(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The UTF-8 bytes of a text, one character each. */
function asLatin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** All but the unreserved characters of RFC 3986. */
function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
