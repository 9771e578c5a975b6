import { createHash } from "node:crypto";

/**
 * The SHA-256 (hex) of plain data: JSON-like values, `Map`s, `Date`s and `undefined`.
 *
 * Keys are sorted, so that equal data has one digest whatever order it was written in; lists keep theirs.
 */
export function digestOf(value: unknown): string {
  return createHash("sha256").update(canonical(value)).digest("hex");
}

/** An injective text: each kind of value begins with its own character. */
function canonical(value: unknown): string {
  if (value === undefined) return "u";
  if (value instanceof Date) return `d${value.getTime()}`;
  if (value instanceof Map) return `m${members(value.entries())}`;
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) return `o${members(Object.entries(value))}`;
  return JSON.stringify(value);
}

function members(entries: Iterable<[string, unknown]>): string {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${sorted.map(([key, value]) => `${JSON.stringify(key)}:${canonical(value)}`).join(",")}}`;
}
