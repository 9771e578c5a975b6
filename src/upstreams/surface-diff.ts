import type { JsonValue } from "../base/json.ts";
import { visible } from "./surface-hidden.ts";

/** Lines of one diff; what comes beyond is counted. */
const MAX_LINES = 400;
/** Characters of one changed text that are shown; what comes beyond is counted. */
const MAX_TEXT_CHARACTERS = 8_000;
/** Characters of an unchanged beginning or end that are shown for orientation. */
const CONTEXT_CHARACTERS = 40;

/**
 * Compares two definitions for a person: `- path: old` and `+ path: new` for each value that differs.
 *
 * Only what is equal is left out; hidden characters are written as `\u{200b}`.
 *
 * @param before - Canonical JSON; `undefined` when nothing was accepted before, `""` when it was too long to keep.
 * @returns Never throws; not empty when the two differ.
 */
export function diffDefinitions(before: string | undefined, after: string): readonly string[] {
  if (after === "" || before === "") return ["~ the definition is too long to be shown; only its digest is known"];
  const old = before === undefined ? new Map<string, JsonValue>() : leaves(JSON.parse(before) as JsonValue);
  const fresh = leaves(JSON.parse(after) as JsonValue);
  const lines: string[] = [];
  for (const path of [...new Set([...old.keys(), ...fresh.keys()])].sort()) {
    const was = old.get(path);
    const is = fresh.get(path);
    if (sameLeaf(was, is)) continue;
    const frame = typeof was === "string" && typeof is === "string" ? commonFrame(was, is) : NO_FRAME;
    if (was !== undefined) lines.push(`- ${label(path)}${print(was, frame)}`);
    if (is !== undefined) lines.push(`+ ${label(path)}${print(is, frame)}`);
  }
  return lines.length <= MAX_LINES
    ? lines
    : [...lines.slice(0, MAX_LINES), `~ ${lines.length - MAX_LINES} more lines are not shown`];
}

/** The fields of a definition that differ: `description`, `inputSchema`. Never throws. */
export function changedParts(before: string | undefined, after: string): readonly string[] {
  if (before === undefined || before === "" || after === "") return [];
  const old = leaves(JSON.parse(before) as JsonValue);
  const fresh = leaves(JSON.parse(after) as JsonValue);
  const paths = [...new Set([...old.keys(), ...fresh.keys()])].filter(
    (path) => !sameLeaf(old.get(path), fresh.get(path)),
  );
  return [...new Set(paths.map((path) => visible(path.split(".")[0] ?? "")))].sort();
}

/** Every innermost value under its path. Empty lists and objects are values too. */
function leaves(value: JsonValue): Map<string, JsonValue> {
  const found = new Map<string, JsonValue>();
  const walk = (inner: JsonValue, path: string) => {
    const members = typeof inner === "object" && inner !== null ? Object.entries(inner) : [];
    if (members.length === 0) found.set(path, inner);
    for (const [key, member] of members) {
      const step = Array.isArray(inner) ? `[${key}]` : /^[\w$-]+$/.test(key) ? key : JSON.stringify(key);
      walk(member as JsonValue, path === "" || step.startsWith("[") ? path + step : `${path}.${step}`);
    }
  };
  walk(value, "");
  return found;
}

/** Leaves are texts, numbers, truth values, null, and empty lists and objects. */
function sameLeaf(one: JsonValue | undefined, other: JsonValue | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function label(path: string): string {
  return path === "" ? "" : `${visible(path)}: `;
}

interface Frame {
  readonly start: number;
  readonly end: number;
}

const NO_FRAME: Frame = { start: 0, end: 0 };

/** How many characters two texts share at the beginning and at the end, less some for orientation. */
function commonFrame(one: string, other: string): Frame {
  const shorter = Math.min(one.length, other.length);
  let start = 0;
  while (start < shorter && one[start] === other[start]) start++;
  let end = 0;
  while (end < shorter - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end++;
  return { start: Math.max(0, start - CONTEXT_CHARACTERS), end: Math.max(0, end - CONTEXT_CHARACTERS) };
}

function print(value: JsonValue, frame: Frame): string {
  if (typeof value !== "string") return JSON.stringify(value);
  const shown = value.slice(frame.start, value.length - frame.end);
  const cut = shown.length - MAX_TEXT_CHARACTERS;
  const text = visible(JSON.stringify(cut > 0 ? shown.slice(0, MAX_TEXT_CHARACTERS) : shown));
  const before = frame.start > 0 ? "…" : "";
  const after = frame.end > 0 ? "…" : "";
  return `${before}${text}${after}${cut > 0 ? ` (and ${cut} more characters)` : ""}`;
}
