import { isUtf8 } from "node:buffer";
import { hash } from "node:crypto";
import type { AuditEvent } from "./event.ts";

/** The version of the line format, `v` of every line. */
const LINE_VERSION = 1;

/** The longest line that is read: 1 MiB. What is larger is somebody's edit. */
export const MAX_LINE_BYTES = 1024 * 1024;

/** The longest line that is written, in characters: a quarter of what is read, as a character may take three bytes. */
const MAX_LINE_CHARS = MAX_LINE_BYTES / 4;

/** `prev` of the first line of a chain. */
export const FIRST_PREV = "0".repeat(64);

/** Where an event stands in its chain. */
export interface LinePlace {
  readonly seq: number;
  /** ISO 8601, UTC, milliseconds. */
  readonly at: string;
  readonly node: string;
  /** `hash` of the line before; {@link FIRST_PREV} for the first. */
  readonly prev: string;
}

/** One line of the evidence, read back: the fields every line has. The data stand beside them under their own names. */
export interface AuditRecord {
  readonly v: number;
  readonly seq: number;
  readonly at: string;
  readonly node: string;
  readonly type: string;
  readonly request_id: string | null;
  readonly agent: string | null;
  readonly tenant: string | null;
  readonly user: string | null;
  readonly service: string | null;
  readonly operation: string | null;
  readonly decision: string | null;
  readonly rules: readonly string[] | null;
  readonly code: string | null;
  readonly prev: string;
  readonly hash: string;
  readonly [data: string]: unknown;
}

/** The keys that begin every line, in the order written. */
const LEADING_KEYS = [
  "v",
  "seq",
  "at",
  "node",
  "type",
  "request_id",
  "agent",
  "tenant",
  "user",
  "service",
  "operation",
  "decision",
  "rules",
  "code",
] as const;

const RESERVED = new Set<string>([...LEADING_KEYS, "prev", "hash"]);
const HASH_KEY = ',"hash":';

/**
 * Writes one event as a line, without the line feed.
 *
 * In two parts, since the data follow the leading keys without a copy of either.
 *
 * @throws {TypeError} when a datum has the name of a leading key, of `prev` or `hash`, or begins with a digit: such a
 * line would not have one canonical form.
 * @throws {RangeError} when the line would be longer than 256 Ki characters.
 */
export function writeEventLine(event: AuditEvent, place: LinePlace): { readonly line: string; readonly hash: string } {
  const leading = {
    v: LINE_VERSION,
    seq: place.seq,
    at: place.at,
    node: place.node,
    type: event.type,
    request_id: event.request_id ?? null,
    agent: event.agent ?? null,
    tenant: event.tenant ?? null,
    user: event.user ?? null,
    service: event.service ?? null,
    operation: event.operation ?? null,
    decision: event.decision ?? null,
    rules: event.rules ?? null,
    code: event.code ?? null,
  };
  const body = `${JSON.stringify(leading).slice(0, -1)}${data(event)},"prev":"${place.prev}"`;
  if (body.length > MAX_LINE_CHARS) throw new RangeError(`a \`${event.type}\` event is too long to be written`);
  const lineHash = hash("sha256", body, "hex");
  return { line: `${body}${HASH_KEY}"${lineHash}"}`, hash: lineHash };
}

/** What is wrong with a line, in the words of a finding. */
export type LineFault = string;

/**
 * Reads one line back and checks all that a line can tell about itself: its form, its keys, its hash.
 *
 * The form is checked by writing it again: white space, duplicate keys, other escapes or numbers all differ.
 *
 * @param line - The bytes between two line feeds.
 */
export function readEventLine(
  line: Buffer,
): { readonly record: AuditRecord; readonly text: string } | { readonly fault: LineFault } {
  const string = line.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(string);
  } catch {
    return { fault: "the line is not JSON" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { fault: "the line is not an object" };
  const fault = formFault(value as Record<string, unknown>, string, line);
  if (fault !== undefined) return { fault };
  const record = value as unknown as AuditRecord;
  if (hash("sha256", string.slice(0, string.lastIndexOf(HASH_KEY)), "hex") !== record.hash) {
    return { fault: "the line does not have the content that its hash was made over" };
  }
  return { record, text: string };
}

function formFault(value: Record<string, unknown>, string: string, line: Buffer): LineFault | undefined {
  if (!isUtf8(line) || JSON.stringify(value) !== string) return "the line is not in its canonical form";
  const keys = Object.keys(value);
  if (LEADING_KEYS.some((key, index) => keys[index] !== key)) return "the line's keys are not in their order";
  if (keys.at(-2) !== "prev" || keys.at(-1) !== "hash") return "the line does not end in `prev` and `hash`";
  if (value["v"] !== LINE_VERSION) return "the line has an unknown version";
  if (!Number.isSafeInteger(value["seq"])) return "`seq` is not a whole number";
  for (const key of ["at", "node", "type", "prev", "hash"]) {
    if (typeof value[key] !== "string") return `\`${key}\` is not text`;
  }
  return undefined;
}

function data({ type, data: values }: AuditEvent): string {
  if (values === undefined) return "";
  // The keys of a call's events are those that `broker/call-events.ts` writes out; the broker's tests look at each of them.
  if (type !== "call.decided" && type !== "call.completed") checkKeys(values);
  const written = JSON.stringify(values);
  return written === "{}" ? "" : `,${written.slice(1, -1)}`;
}

/** @throws {TypeError} What {@link writeEventLine} says. */
export function checkKeys(values: NonNullable<AuditEvent["data"]>): void {
  for (const key in values) {
    const first = key.charCodeAt(0);
    if (RESERVED.has(key) || (first >= 48 && first <= 57)) {
      throw new TypeError(`the audit datum \`${key}\` needs another name`);
    }
  }
}
