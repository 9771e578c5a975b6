import { isUtf8 } from "node:buffer";
import type { JsonValue } from "./json.ts";

export interface StrictJsonLimits {
  /** Nested arrays and objects. */
  readonly depth?: number;
  /**
   * Refuse keys that differ in case alone, in the outermost object and those directly in it: readers that ignore case
   * would see another message. For envelopes, not for data.
   */
  readonly foldCase?: boolean;
  /** Keys and values together: each costs far more than its bytes. Without a limit the bytes alone bound the work. */
  readonly values?: number;
}

export type StrictJson =
  | {
      readonly ok: true;
      readonly value: JsonValue;
      /** A number was written more exactly than it could be kept: another reader may see another one. */
      readonly lossy: boolean;
    }
  | { readonly ok: false; readonly problem: string };

/** Levels of nesting where the caller names none. */
export const DEFAULT_JSON_DEPTH = 64;

/** A longer number is taken as it is and counts as lossy: nobody keeps this many digits. */
const MAX_EXACT_NUMBER_CHARACTERS = 400;
/** Every decimal of so many characters, exponents aside, survives the way to a double and back. */
const SAFE_NUMBER_CHARACTERS = 15;

/**
 * Parses JSON that every reader must understand alike.
 *
 * Refused: duplicate keys (also when one is written with escapes), `__proto__`, NUL in keys, lone surrogates, invalid
 * UTF-8, a byte order mark, numbers beyond a double's range, and nesting over the limit. The work is linear in the
 * input: `JSON.parse` and two walks. `JSON.parse` keeps the last of two equal keys, so colons outside of texts are
 * counted and compared with the keys that are left.
 *
 * @returns Never throws. `problem` is one clause and quotes nothing of the input.
 * @see RFC 8259 §4, §8.1; RFC 7493 (I-JSON).
 */
export function parseStrictJson(input: Uint8Array | string, limits: StrictJsonLimits = {}): StrictJson {
  const text = typeof input === "string" ? wellFormed(input) : decodeUtf8(input);
  if (text === undefined) return refuse("it is not valid UTF-8");
  if (text.charCodeAt(0) === 0xfeff) return refuse("it begins with a byte order mark");
  const depth = limits.depth ?? DEFAULT_JSON_DEPTH;
  const tokens = scan(text, depth, limits.values ?? Number.POSITIVE_INFINITY);
  if (typeof tokens === "string") return refuse(tokens);
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return refuse("it is not JSON");
  }
  const tally: Tally = { keys: 0, escapes: tokens.escapes, fold: limits.foldCase === true, problem: undefined };
  walk(value, tally, 0);
  if (tally.problem !== undefined) return refuse(tally.problem);
  if (tally.keys !== tokens.colons) return refuse("an object has the same key twice");
  return { ok: true, value, lossy: tokens.lossy };
}

function refuse(problem: string): StrictJson {
  return { ok: false, problem };
}

function wellFormed(text: string): string | undefined {
  return text.isWellFormed() ? text : undefined;
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  if (!isUtf8(bytes)) return undefined;
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString("utf8");
}

interface Tokens {
  readonly colons: number;
  readonly lossy: boolean;
  /** A backslash stands in the text: keys and texts may hold what the text itself does not. */
  readonly escapes: boolean;
}

/** One pass over the text before it is parsed; sound for any text, meaningful for valid JSON. */
function scan(text: string, maxDepth: number, maxValues: number): Tokens | string {
  const escapes = text.includes("\\");
  let colons = 0;
  let others = 0;
  let depth = 0;
  let lossy = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = endOfText(text, at, escapes);
      if (at === -1) return "it is not JSON";
    } else if (code === 0x3a) colons++;
    else if (code === 0x2c) others++;
    else if (code === 0x7b || code === 0x5b) {
      others++;
      if (++depth > maxDepth) return `it is nested deeper than ${maxDepth} levels`;
    } else if (code === 0x7d || code === 0x5d) depth--;
    else if ((code >= 0x30 && code <= 0x39) || code === 0x2d) {
      const end = endOfNumber(text, at);
      const kept = numberFidelity(text, at, end);
      if (kept === "infinite") return "a number is beyond the range of a double";
      if (kept === "lossy") lossy = true;
      at = end - 1;
    }
    if (colons + others > maxValues) return `it holds more than ${maxValues} keys and values`;
  }
  return { colons, lossy, escapes };
}

/** The index of the quote that ends the text which begins at `start`; -1 without one. */
function endOfText(text: string, start: number, escapes: boolean): number {
  let end = text.indexOf('"', start + 1);
  if (!escapes) return end;
  while (end !== -1) {
    let before = end - 1;
    while (text.charCodeAt(before) === 0x5c) before--;
    if ((end - before) % 2 === 1) return end;
    end = text.indexOf('"', end + 1);
  }
  return -1;
}

function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  for (; end < text.length; end++) {
    const code = text.charCodeAt(end);
    const part =
      (code >= 0x30 && code <= 0x39) ||
      code === 0x2e ||
      code === 0x65 ||
      code === 0x45 ||
      code === 0x2b ||
      code === 0x2d;
    if (!part) break;
  }
  return end;
}

function numberFidelity(text: string, start: number, end: number): "exact" | "lossy" | "infinite" {
  if (end - start <= SAFE_NUMBER_CHARACTERS && !hasExponent(text, start, end)) return "exact";
  const literal = text.slice(start, end);
  const value = Number(literal);
  if (Number.isNaN(value)) return "exact"; // not JSON, which `JSON.parse` will say
  if (!Number.isFinite(value)) return "infinite";
  if (literal.length > MAX_EXACT_NUMBER_CHARACTERS) return "lossy";
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return "lossy";
  return sameDecimal(literal, String(value)) ? "exact" : "lossy";
}

function hasExponent(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((text.charCodeAt(at) | 0x20) === 0x65) return true;
  return false;
}

/** Whether two decimals name the same number, signs of zero aside. */
function sameDecimal(one: string, other: string): boolean {
  const a = decimal(one);
  const b = decimal(other);
  if (a.digits === "" || b.digits === "") return a.digits === b.digits;
  return a.negative === b.negative && a.digits === b.digits && a.exponent === b.exponent;
}

function decimal(literal: string) {
  const [mantissa = "", exponent = "0"] = literal.toLowerCase().split("e");
  const negative = mantissa.startsWith("-");
  const [whole = "", fraction = ""] = (negative ? mantissa.slice(1) : mantissa).split(".");
  const all = (whole + fraction).replace(/^0+/, "");
  let length = all.length;
  while (length > 0 && all.charCodeAt(length - 1) === 0x30) length--;
  return { negative, digits: all.slice(0, length), exponent: Number(exponent) - fraction.length + all.length - length };
}

interface Tally {
  keys: number;
  readonly escapes: boolean;
  readonly fold: boolean;
  problem: string | undefined;
}

const LONE_SURROGATE = "a text holds half of a character (a lone surrogate)";

/** Counts the keys that are left, and looks at what escapes may have smuggled in. Its depth was limited by {@link scan}. */
function walk(value: JsonValue, tally: Tally, level: number): void {
  if (typeof value === "string") {
    if (tally.escapes && !value.isWellFormed()) tally.problem = LONE_SURROGATE;
  } else if (Array.isArray(value)) {
    for (const item of value) if (tally.escapes || typeof item === "object") walk(item, tally, level + 1);
  } else if (typeof value === "object" && value !== null) walkObject(value as Record<string, JsonValue>, tally, level);
}

function walkObject(value: Record<string, JsonValue>, tally: Tally, level: number): void {
  const keys = Object.keys(value);
  tally.keys += keys.length;
  if (tally.fold && level <= 1 && hasFoldedDuplicates(keys))
    tally.problem = "an object has keys that differ in case alone";
  for (const key of keys) {
    if (key === "__proto__") tally.problem = "an object has the key `__proto__`";
    if (tally.escapes) {
      if (key.includes("\0")) tally.problem = "a key holds a NUL character";
      if (!key.isWellFormed()) tally.problem = LONE_SURROGATE;
    }
    const item = value[key] as JsonValue;
    if (tally.escapes || typeof item === "object") walk(item, tally, level + 1);
  }
}

/** Whether two of these (different) keys are equal to a reader that ignores case, as Go's JSON reader does. */
export function hasFoldedDuplicates(keys: readonly string[]): boolean {
  if (keys.length < 2) return false;
  return new Set(keys.map(foldCase)).size !== keys.length;
}

function foldCase(key: string): string {
  const lower = key.toLowerCase();
  return /^[\x20-\x7e]*$/.test(lower) ? lower : lower.normalize("NFKC").toLowerCase();
}
