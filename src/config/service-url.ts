import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";
import type { ServiceUrl } from "./schema.ts";

/** In characters. */
const MAX_URL_CHARS = 2_048;
const SHAPE = "write `https://HOST[:PORT][/PATH]`";
/** RFC 3986 pchar without the percent sign: what stands in a path segment as it is. */
const PLAIN = /^[A-Za-z0-9\-._~!$&'()*+,;=:@]$/;

/**
 * The origin and base path that a service's requests cannot leave.
 *
 * The host is canonicalised as a browser would (`0x7f.1` is 127.0.0.1, `BÜCHER.example` is punycode), so that what is
 * classified and bound is what is dialled. The path must be written in its one canonical form: it is matched by prefix.
 */
export function parseServiceUrl(text: string): Parsed<ServiceUrl> {
  const match = /^(https?):\/\/([^/?#\\]+)([^?#\\]*)([?#].*)?$/is.exec(text);
  if (text.length > MAX_URL_CHARS) return unparsed("the url is too long", `write at most ${MAX_URL_CHARS} characters`);
  if (match === null || /[\s\p{Cc}\p{Cf}]/u.test(text)) return unparsed(`${quote(text)} is not an http url`, SHAPE);
  const [, , authority = "", path = "", tail] = match;
  if (authority.includes("@"))
    return unparsed("the url holds userinfo", "write the url without it, and the secret under `credential:`");
  if (tail !== undefined)
    return unparsed(
      "the url has a query or fragment",
      "end it with the path; a secret in the query is `credential: { kind: query, … }`",
    );
  if (!URL.canParse(text)) return unparsed(`${quote(text)} is not a url`, SHAPE);
  const url = new URL(text);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (!isPlainHost(url.hostname))
    return unparsed(
      `${quote(host)} is not a host name`,
      "write labels of letters, digits, `-` and `_`, joined by single dots",
    );
  const protocol = url.protocol === "https:" ? "https:" : "http:";
  const port = url.port === "" ? (protocol === "https:" ? 443 : 80) : Number(url.port);
  if (port === 0) return unparsed("port 0 cannot be dialled", SHAPE);
  const basePath = parseBasePath(path);
  return basePath.ok ? parsed({ origin: url.origin, protocol, host, port, basePath: basePath.value }) : basePath;
}

function isPlainHost(hostname: string): boolean {
  if (hostname.startsWith("[")) return true;
  return (
    hostname.length <= 253 &&
    /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/.test(hostname)
  );
}

function parseBasePath(path: string): Parsed<string> {
  const trimmed = path.replace(/\/$/, "");
  if (trimmed === "") return parsed("");
  const canonical: string[] = [];
  for (const segment of trimmed.slice(1).split("/")) {
    const parsedSegment = parseSegment(segment);
    if (!parsedSegment.ok) return parsedSegment;
    canonical.push(parsedSegment.value);
  }
  const value = `/${canonical.join("/")}`;
  if (value !== trimmed)
    return unparsed(`the path ${quote(trimmed)} is not in its canonical form`, `write ${quote(value)}`);
  return parsed(value);
}

function parseSegment(raw: string): Parsed<string> {
  const remedy = "write a path of plain segments, as in `/v1`";
  if (raw === "") return unparsed("the path has a doubled slash", remedy);
  if (/%(?![0-9A-Fa-f]{2})/.test(raw)) return unparsed("the path has a malformed percent escape", remedy);
  let text: string;
  try {
    text = decodeURIComponent(raw).normalize("NFC");
  } catch (cause) {
    if (!(cause instanceof URIError)) throw cause;
    return unparsed("the path has a percent escape that is not UTF-8", remedy);
  }
  const folded = text.normalize("NFKC");
  if (/^[.\s]+$/.test(folded)) return unparsed("the path has a dot segment", remedy);
  if (/[/\\;%\p{Cc}\p{Cf}]/u.test(folded))
    return unparsed(`the path segment ${quote(raw)} holds a separator, escape or control sign`, remedy);
  return parsed([...text].map(encodeSign).join(""));
}

function encodeSign(sign: string): string {
  if (PLAIN.test(sign)) return sign;
  return [...Buffer.from(sign)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}
