import type { HoldReason } from "./pins.ts";
import type { PinKind } from "./surface-digest.ts";
import type { ReviewFlag } from "./surface-review.ts";

/** A definition by its digest (hex SHA-256) and its canonical JSON, which is `""` when it was too long to keep. */
export interface PinnedDefinition {
  readonly digest: string;
  readonly text: string;
}

/** What is on record about one item of one service. */
export interface PinRecord {
  readonly kind: PinKind;
  readonly name: string;
  readonly state: "accepted" | "held";
  /** Present while it is held. */
  readonly why: HoldReason | undefined;
  /** What was accepted last; absent for an item that never was. */
  readonly accepted: PinnedDefinition | undefined;
  readonly seen: PinnedDefinition;
  /** Of a held item that turned back to what was accepted: what it was last, and since when. */
  readonly between: (PinnedDefinition & { readonly at: Date }) | undefined;
  /** Of the definition that was seen last. */
  readonly flags: readonly ReviewFlag[];
  /** When the state, or what is held, changed last. */
  readonly since: Date;
}

/** One look at one item. */
export interface Sighting {
  readonly kind: PinKind;
  readonly name: string;
  readonly definition: PinnedDefinition;
  readonly flags: readonly ReviewFlag[];
  /** `first`: the service was never looked at. `renamed`: an item that is gone had this definition. */
  readonly occasion: "first" | "later" | "renamed" | "damaged";
}

/** What a sighting did: `change` is absent when nothing is new. */
export interface Seen {
  readonly record: PinRecord;
  readonly change: "pinned" | "held" | undefined;
}

/**
 * The state machine of one pin: what a look at an item makes of what is on record.
 *
 * The first look at a server is trusted, unless the item hides something. After that only the owner makes a held item an
 * accepted one: a definition that turns back to the accepted one stays held, because in between it was another.
 *
 * @returns Never throws; the record itself when nothing changed.
 */
export function seePin(record: PinRecord | undefined, sighting: Sighting, now: Date): Seen {
  const { kind, name, definition, flags } = sighting;
  if (record === undefined) {
    const why = reasonToHold(sighting);
    const fresh = { kind, name, seen: definition, between: undefined, flags, since: now };
    return why === undefined
      ? { record: { ...fresh, state: "accepted", why: undefined, accepted: definition }, change: "pinned" }
      : { record: { ...fresh, state: "held", why, accepted: undefined }, change: "held" };
  }
  if (record.seen.digest === definition.digest) return { record, change: undefined };
  const why = record.state === "held" ? record.why : "changed";
  const between = record.accepted?.digest === definition.digest ? { ...record.seen, at: record.since } : undefined;
  return { record: { ...record, state: "held", why, seen: definition, between, flags, since: now }, change: "held" };
}

/** The owner looked at what is held and takes it as it is. */
export function acceptPin(record: PinRecord, now: Date): PinRecord {
  return { ...record, state: "accepted", why: undefined, accepted: record.seen, between: undefined, since: now };
}

function reasonToHold({ occasion, flags }: Sighting): HoldReason | undefined {
  if (occasion === "damaged") return "damaged";
  if (occasion === "renamed") return "renamed";
  if (occasion === "later") return "new";
  return flags.some(({ hard }) => hard) ? "flagged" : undefined;
}
