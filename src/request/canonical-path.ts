import { compatible, hasControl, hasOuterSpace, isBlank, isStillEncoded } from "./hazards.ts";
import { ambiguous, quote, type Refused, refused } from "./refusal.ts";

export const MAX_PATH_BYTES = 8 * 1024;
export const MAX_SEGMENTS = 64;

/** What stands between two slashes. */
export interface PathSegment {
  /** Decoded once. Empty only as the last one, after a trailing slash. */
  readonly text: string;
  /** As sent. */
  readonly raw: string;
  /**
   * Some upstream may read it as another path: it holds an encoded slash, a `;`, a trailing dot, or letters that
   * compatibility forms (NFKC) replace. Only an `:encoded` placeholder may match it, by which the owner says that this
   * API takes the segment as it stands.
   */
  readonly encoded: boolean;
}

export type CanonicalPath =
  | { readonly ok: true; readonly path: string; readonly segments: readonly PathSegment[] }
  | Refused;

/** Needs no look: unreserved characters and the separators that mean nothing inside a segment. */
const PLAIN_SEGMENT = /^[A-Za-z0-9\-_~!$&'()*+,=:@.]*[A-Za-z0-9\-_~!$&'()*+,=:@]$/;
const PLAIN_PATH = /^(?:\/[A-Za-z0-9\-_~!$&'()*+,=:@.]*[A-Za-z0-9\-_~!$&'()*+,=:@])+$/;
/** Printable ASCII that a path may not hold as it stands (RFC 3986 §3.3); sent percent-encoded. */
const UNSAFE = /["<>^`{|}]/g;
const UNRESERVED_ESCAPE = /%(?:2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/gi;

/**
 * Brings a path into the one form that is matched and sent, or refuses it.
 *
 * Made alike is only what RFC 3986 §6.2.2 calls equivalent: the case of escapes, and escapes of unreserved characters.
 * Refused is what some upstream may read as another path: repeated decoding, slash collapsing, dot resolution,
 * backslashes, trimming and compatibility forms all lead to the path that was matched, or to a refusal here.
 *
 * @param raw - Without the query, printable ASCII.
 * @returns Never throws. Cost is linear in the path.
 */
export function canonicalPath(raw: string): CanonicalPath {
  const fault = pathFault(raw);
  if (fault !== undefined) return fault;
  const parts = raw.slice(1).split("/");
  if (parts.length > MAX_SEGMENTS) return refused("too_large", `the path has more than ${MAX_SEGMENTS} segments`);
  if (PLAIN_PATH.test(raw)) {
    return { ok: true, path: raw, segments: parts.map((part) => ({ text: part, raw: part, encoded: false })) };
  }
  const segments: PathSegment[] = [];
  for (const [index, part] of parts.entries()) {
    if (part === "") {
      if (index < parts.length - 1) return doubledSlash();
      segments.push({ text: "", raw: "", encoded: false });
      continue;
    }
    const segment = canonicalSegment(part);
    if (!segment.ok) return segment;
    segments.push(segment.segment);
  }
  return { ok: true, path: `/${segments.map((segment) => segment.raw).join("/")}`, segments };
}

function pathFault(raw: string): Refused | undefined {
  if (raw.length > MAX_PATH_BYTES) return refused("too_large", `the path is longer than ${MAX_PATH_BYTES} bytes`);
  if (!raw.startsWith("/")) {
    return ambiguous(
      `the path ${quote(raw)} does not begin with \`/\``,
      "Write a path relative to the service, `/domains`, without scheme, host or user.",
    );
  }
  if (raw.startsWith("//")) return doubledSlash();
  return undefined;
}

function doubledSlash(): Refused {
  return ambiguous("the path holds a doubled slash", "Write one `/` between segments, and do not send empty ones.");
}

/**
 * Brings one segment into its form; patterns use it for what they say literally.
 *
 * @param part - Not empty, without a slash, ASCII.
 */
export function canonicalSegment(part: string): { readonly ok: true; readonly segment: PathSegment } | Refused {
  if (PLAIN_SEGMENT.test(part)) return { ok: true, segment: { text: part, raw: part, encoded: false } };
  const text = decode(part);
  if (text === undefined) {
    return ambiguous(
      `the path segment ${quote(part)} holds a \`%\` that begins no valid UTF-8 escape`,
      "Write `%25` for a percent sign, and UTF-8 bytes as `%XX`.",
    );
  }
  const hazard = segmentHazard(text) ?? segmentHazard(compatible(text), text);
  if (hazard !== undefined) return ambiguous(`the path segment ${quote(part)} ${hazard.what}`, hazard.remedy);
  if (isQuestionable(text)) {
    const pieceHazard = piecesHazard(text) ?? piecesHazard(compatible(text));
    if (pieceHazard !== undefined)
      return ambiguous(`the path segment ${quote(part)} ${pieceHazard.what}`, pieceHazard.remedy);
    return { ok: true, segment: { text, raw: part.replace(UNSAFE, escapeAscii), encoded: true } };
  }
  const raw = part
    .replace(UNRESERVED_ESCAPE, decodeURIComponent)
    .replace(/%[0-9a-f]{2}/gi, (octet) => octet.toUpperCase())
    .replace(UNSAFE, escapeAscii);
  return { ok: true, segment: { text, raw, encoded: false } };
}

/** Says why a segment that no placeholder but `:encoded` may match was not matched; `undefined` when the path has none. */
export function encodedSegmentRefusal(segments: readonly PathSegment[]): Refused | undefined {
  const segment = segments.find(({ encoded }) => encoded);
  if (segment === undefined) return undefined;
  const { what, remedy } = questionable(segment.text);
  return ambiguous(
    `the path segment ${quote(segment.raw)} ${what}`,
    `${remedy} If the API needs it, the owner can allow it with a placeholder such as \`{name:encoded}\`.`,
  );
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function escapeAscii(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

interface Hazard {
  readonly what: string;
  readonly remedy: string;
}

/** What is never sent, whatever the pattern. @param plain - The text itself, when `text` is its compatibility form. */
function segmentHazard(text: string, plain: string = text): Hazard | undefined {
  if (hasControl(text))
    return { what: "holds a control character", remedy: "Leave control characters out of the path." };
  if (text.includes("\\")) return { what: "holds a backslash", remedy: "Leave backslashes out of the path." };
  if (isStillEncoded(text)) return { what: "is encoded twice", remedy: "Encode each character of the path once." };
  if (isBlank(text))
    return { what: "is a dot segment or blank", remedy: "Write the path without `.`, `..` and blank segments." };
  if (hasOuterSpace(text)) return { what: "begins or ends with white space", remedy: "Trim the segments of the path." };
  if (text !== plain && introduces(text, plain)) {
    return {
      what: "holds a character that compatibility forms turn into a separator",
      remedy: "Write the path with plain characters.",
    };
  }
  return undefined;
}

function introduces(text: string, plain: string): boolean {
  return (
    ["/", ";", "?", "#", "%"].some((character) => text.includes(character) && !plain.includes(character)) ||
    (text.endsWith(".") && !plain.endsWith("."))
  );
}

/** What an upstream may read otherwise, but an API may also mean as it stands. */
function isQuestionable(text: string): boolean {
  return text.includes("/") || text.includes(";") || text.endsWith(".") || compatible(text) !== text;
}

function questionable(text: string): Hazard {
  if (text.includes("/")) return { what: "holds an encoded slash", remedy: "Write `/` where segments end." };
  if (text.includes(";"))
    return { what: "holds a `;`, which begins path parameters", remedy: "Leave path parameters out." };
  if (text.endsWith("."))
    return { what: "ends with a dot, which some servers drop", remedy: "Leave the last dot out." };
  return {
    what: "holds characters that compatibility forms (Unicode NFKC) replace",
    remedy: "Write the text in its NFKC form.",
  };
}

/** Each piece of an encoded segment obeys the rules of a segment, with and without its path parameters. */
function piecesHazard(text: string): Hazard | undefined {
  for (const piece of text.split("/")) {
    for (const reading of [piece, piece.split(";")[0] ?? ""]) {
      if (isBlank(reading) || hasOuterSpace(reading)) {
        return {
          what: "holds an empty, blank or dot piece between its encoded slashes or before a `;`",
          remedy: "Write the path without `.`, `..`, empty and blank pieces.",
        };
      }
    }
  }
  return undefined;
}
