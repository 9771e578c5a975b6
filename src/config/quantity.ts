import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";
import type { Rate } from "./schema.ts";

const MS_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);
const BYTES_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ["B", 1],
  ["kB", 1_000],
  ["KB", 1_000],
  ["MB", 1_000_000],
  ["GB", 1_000_000_000],
  ["KiB", 1_024],
  ["MiB", 1_048_576],
  ["GiB", 1_073_741_824],
]);
const SECONDS_PER_WORD: ReadonlyMap<string, number> = new Map([
  ["second", 1],
  ["minute", 60],
  ["hour", 3_600],
  ["day", 86_400],
]);
const MAX_RATE_COUNT = 1_000_000;
/** 31 days: what a counter can be asked to remember. */
const MAX_RATE_SECONDS = 31 * 86_400;

interface Range {
  readonly min: number;
  readonly max: number;
}

/** `30s`, `500ms`, `15m`, `90d` → milliseconds within a range (in milliseconds). */
export function parseDurationMs(text: string, range: Range): Parsed<number> {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(text);
  if (match === null)
    return unparsed(
      `${quote(text)} is not a duration`,
      "write a whole number and `ms`, `s`, `m`, `h` or `d`, as in `30s`",
    );
  const ms = Number(match[1]) * (MS_PER_UNIT.get(match[2] ?? "") ?? Number.NaN);
  if (ms < range.min || ms > range.max) {
    return unparsed(
      `${quote(text)} is out of range`,
      `write a duration from \`${printMs(range.min)}\` to \`${printMs(range.max)}\``,
    );
  }
  return parsed(ms);
}

/** `4096`, `1MiB`, `10MB` → bytes within a range (in bytes). */
export function parseByteSize(input: string | number, range: Range): Parsed<number> {
  const match = /^([0-9]{1,12})(B|kB|KB|MB|GB|KiB|MiB|GiB)?$/.exec(String(input));
  if (match === null)
    return unparsed(
      `${quote(String(input))} is not a size`,
      "write a whole number and `B`, `KiB`, `MiB`, `kB` or `MB`, as in `1MiB`",
    );
  const bytes = Number(match[1]) * (BYTES_PER_UNIT.get(match[2] ?? "B") ?? Number.NaN);
  if (bytes < range.min || bytes > range.max) {
    return unparsed(`${quote(String(input))} is out of range`, `write a size from ${range.min} to ${range.max} bytes`);
  }
  return parsed(bytes);
}

/** `60/minute`, `5/10s` → calls per seconds. */
export function parseRate(text: string): Parsed<Rate> {
  const match = /^([0-9]{1,9})\/(?:(second|minute|hour|day)|([0-9]{0,7})(ms|s|m|h|d))$/.exec(text);
  if (match === null)
    return unparsed(`${quote(text)} is not a rate`, "write calls per time, as in `60/minute` or `5/10s`");
  const count = Number(match[1]);
  const word = SECONDS_PER_WORD.get(match[2] ?? "");
  const perSeconds = word ?? (Number(match[3] || "1") * (MS_PER_UNIT.get(match[4] ?? "") ?? Number.NaN)) / 1_000;
  if (count < 1 || count > MAX_RATE_COUNT)
    return unparsed(`${quote(text)} is out of range`, `write 1 to ${MAX_RATE_COUNT} calls`);
  if (!Number.isInteger(perSeconds) || perSeconds < 1 || perSeconds > MAX_RATE_SECONDS) {
    return unparsed(`${quote(text)} is out of range`, "write whole seconds, at least `1s`, at most `31d`");
  }
  return parsed({ count, perSeconds });
}

/**
 * `2027-02-01` (its first instant, in UTC) or an ISO 8601 instant with a zone.
 *
 * The start of the day and not its end: an expiry may come too early, never too late.
 */
export function parseExpiry(text: string): Parsed<Date> {
  const remedy = "write a day as `2027-02-01`, or an instant with its zone as `2027-02-01T08:00:00Z`";
  const match =
    /^([0-9]{4})-([0-9]{2})-([0-9]{2})(T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,3})?)?(?:Z|[+-][0-9]{2}:[0-9]{2}))?$/.exec(
      text,
    );
  if (match === null) return unparsed(`${quote(text)} is not a date`, remedy);
  const [, year, month, day] = match.map(Number);
  const calendar = new Date(Date.UTC(year ?? 0, (month ?? 0) - 1, day));
  const at = new Date(match[4] === undefined ? `${text}T00:00:00Z` : text);
  const exists = calendar.getUTCMonth() === (month ?? 0) - 1 && calendar.getUTCDate() === day;
  if (!exists || Number.isNaN(at.getTime())) return unparsed(`${quote(text)} does not exist in the calendar`, remedy);
  return parsed(at);
}

function printMs(ms: number): string {
  for (const [unit, size] of [...MS_PER_UNIT].reverse())
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  return `${ms}ms`;
}
