import { timingSafeEqual } from "node:crypto";
import type { Keyring } from "../vault/keyring.ts";
import type { PinRecord } from "./pin-states.ts";
import type { PinRow } from "./pin-store.ts";
import type { HoldReason } from "./pins.ts";
import type { PinKind } from "./surface-digest.ts";
import type { ReviewFlag } from "./surface-review.ts";

/** Writes a record as a row, with its tag. */
export function toRow(keyring: Keyring, service: string, record: PinRecord): PinRow {
  const row = {
    service,
    kind: record.kind,
    name: record.name,
    state: record.state,
    why: record.why ?? null,
    accepted_digest: record.accepted?.digest ?? null,
    accepted_text: record.accepted?.text ?? null,
    seen_digest: record.seen.digest,
    seen_text: record.seen.text,
    between_digest: record.between?.digest ?? null,
    between_text: record.between?.text ?? null,
    between_at: record.between?.at.toISOString() ?? null,
    flags: JSON.stringify(record.flags),
    since: record.since.toISOString(),
  };
  return { ...row, tag: rowTag(keyring, row) };
}

/** The row that says that a service was looked at: what appears from now on is new. */
export function serviceRow(keyring: Keyring, service: string, now: Date): PinRow {
  const row = {
    service,
    kind: SERVICE_KIND,
    name: "",
    state: "accepted",
    why: null,
    accepted_digest: null,
    accepted_text: null,
    seen_digest: "",
    seen_text: "",
    between_digest: null,
    between_text: null,
    between_at: null,
    flags: "[]",
    since: now.toISOString(),
  };
  return { ...row, tag: rowTag(keyring, row) };
}

/** The kind of {@link serviceRow}; no item has it. */
export const SERVICE_KIND = "service";

/** Whether a row is as it was written. */
export function isAuthentic(keyring: Keyring, row: PinRow): boolean {
  return sameBytes(row.tag, rowTag(keyring, row));
}

/** Reads a row of a record that is whole. */
export function toRecord(row: PinRow): PinRecord {
  const accepted =
    row.accepted_digest === null ? undefined : { digest: row.accepted_digest, text: row.accepted_text ?? "" };
  return {
    ...doubtedRecord(row),
    state: row.state === "accepted" ? "accepted" : "held",
    why: (row.why ?? undefined) as HoldReason | undefined,
    accepted,
    between: betweenOf(row),
    flags: JSON.parse(row.flags) as readonly ReviewFlag[],
  };
}

/** The tag over a whole set of rows: one that was added or taken away behind our back does not go unseen. */
export function setTag(keyring: Keyring, rows: Iterable<Pick<PinRow, "tag">>): Buffer {
  const members = Array.from(rows, ({ tag }) => Buffer.from(tag).toString("hex"));
  return keyring.tag("pins", members.sort());
}

/** Compares two tags in constant time. */
export function sameBytes(left: Uint8Array | undefined, right: Uint8Array): boolean {
  return left !== undefined && left.length === right.length && timingSafeEqual(left, right);
}

/** Reads a row of a record that was edited: nothing of it counts as accepted, whatever it says. */
export function doubtedRecord(row: PinRow): PinRecord {
  const since = new Date(row.since);
  return {
    kind: row.kind as PinKind,
    name: row.name,
    state: "held",
    why: "damaged",
    accepted: undefined,
    seen: { digest: row.seen_digest, text: row.seen_text },
    between: undefined,
    flags: [],
    since: Number.isNaN(since.getTime()) ? new Date(0) : since,
  };
}

function betweenOf({ between_digest: digest, between_text: text, between_at: at }: PinRow): PinRecord["between"] {
  return digest === null || text === null || at === null ? undefined : { digest, text, at: new Date(at) };
}

function rowTag(keyring: Keyring, row: Omit<PinRow, "tag">): Buffer {
  return keyring.tag("pin", [
    row.service,
    row.kind,
    row.name,
    row.state,
    row.why ?? "",
    row.accepted_digest === null ? "none" : `sha256:${row.accepted_digest}`,
    row.accepted_text ?? "",
    row.seen_digest,
    row.seen_text,
    row.flags,
    row.since,
    // Rows that were written before there was such a thing have no such parts in their tags.
    ...(row.between_digest === null ? [] : [row.between_digest, row.between_text ?? "", row.between_at ?? ""]),
  ]);
}
