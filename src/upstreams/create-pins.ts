import type { AuditEvent, AuditLog } from "../audit/event.ts";
import type { JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Keyring } from "../vault/keyring.ts";
import { acceptPin, type PinRecord, type Sighting, seePin } from "./pin-states.ts";
import type { PinStore } from "./pin-store.ts";
import { loadPinTable, type PinChange, type PinTable } from "./pin-table.ts";
import { pinView } from "./pin-view.ts";
import type { HeldItem, PinChoice, Pins, PinView } from "./pins.ts";
import type { Surface } from "./surface.ts";
import { changedParts } from "./surface-diff.ts";
import {
  canonicalJson,
  INSTRUCTIONS_NAME,
  itemOf,
  itemsOf,
  kindOf,
  MAX_KEPT_CHARACTERS,
  nameIn,
  type PinKind,
  type PinnedItem,
  type PinnedList,
  surfaceDigest,
} from "./surface-digest.ts";
import { formsOf, type ReviewContext, reviewItem } from "./surface-review.ts";

/** Items of one service on record. What comes beyond is held and forgotten: a server could make up names without end. */
const MAX_ITEMS = 2_000;
/** Items that one event names. */
const MAX_NAMED = 200;
const MAX_NAME_CHARACTERS = 128;

/**
 * Opens the pins of a home.
 *
 * Every row carries a tag under the home's key, and so does the set: a row that was edited, added or taken away accepts nothing.
 * Events come first, so that what may be used is on record before it can be; a hold is in force before it is on record.
 *
 * @throws {Problem} `store_unavailable`, `audit_unavailable`.
 */
export async function createPins(deps: {
  readonly store: PinStore;
  readonly keyring: Keyring;
  readonly audit: AuditLog;
  readonly now: Date;
}): Promise<Pins> {
  const { audit } = deps;
  const table = await loadPinTable(deps);
  /** Holds that are not on record yet, because the evidence or the state failed. */
  const unrecorded = new Map<string, HeldItem>();
  const inTurn = createTurn();
  if (table.damage === "now") await audit.append({ type: "upstream.changed", code: "pins_damaged" });

  const check = (service: string, kind: PinKind, name: string): HeldItem | undefined => {
    const waiting = unrecorded.get(holdKey({ service, kind, name }));
    if (waiting !== undefined) return waiting;
    const found = table.find(service, kind, name);
    if (found !== undefined) return found.state === "held" ? heldItem(service, found) : undefined;
    return table.isLookedAt(service) ? { service, kind, name, digest: "", why: "unlisted" } : undefined;
  };

  /** Judges sightings of one service and puts the outcome on record. */
  const settle = async (service: string, sightings: readonly Sighting[], look: "surface" | "package", now: Date) => {
    const outcomes = sightings.map((sighting) => {
      const before = table.find(service, sighting.kind, sighting.name);
      return { before, ...seePin(before, sighting, now) };
    });
    const pinned = outcomes.filter(({ change }) => change === "pinned").map(({ record }) => record);
    const held = outcomes.filter(({ change }) => change === "held");
    const holds = held.map(({ record }) => heldItem(service, record));
    for (const hold of holds) unrecorded.set(holdKey(hold), hold);
    if (held.length > 0) await audit.append(changedEvent(service, held));
    if (pinned.length > 0) await audit.append(pinnedEvent(service, pinned, "first look"));
    const change = withinLimit(table, service, [...pinned, ...held.map(({ record }) => record)]);
    await table.write(service, { ...change, lookedAt: look === "surface" }, now);
    for (const hold of holds) unrecorded.delete(holdKey(hold));
  };

  return {
    check,
    judge: (service, surface, now) =>
      inTurn(async () => {
        const items = itemsOf(surface);
        await settle(service, sightingsOf(table, service, items), "surface", now);
        const held = items.flatMap(({ kind, name }) => check(service, kind, name) ?? []);
        return { accepted: withoutHeld(surface, held), held };
      }),
    judgePackage: (service, facts, now) =>
      inTurn(async () => {
        const item = itemOf("package", facts.name, [{ ...facts }]);
        await settle(service, [sighting(item, [], packageOccasion(table, item))], "package", now);
        return check(service, "package", facts.name);
      }),
    list: (service) => table.records(service).map(pinView).sort(heldFirst),
    accept: (service, choice, by, now) =>
      inTurn(async () => {
        const chosen = choose(table.records(service), service, choice);
        const accepted = chosen.filter(({ state }) => state === "held").map((record) => acceptPin(record, now));
        if (accepted.length > 0) await audit.append(pinnedEvent(service, accepted, by));
        await table.write(service, { put: accepted, drop: [], lookedAt: false }, now);
        for (const { kind, name } of chosen) unrecorded.delete(holdKey({ service, kind, name }));
        return accepted.map(pinView);
      }),
    forget: (service) => inTurn(() => table.forget(service)),
  };
}

/** One change after the other: each sees what the one before it wrote. */
function createTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = last.then(work, work);
    last = done.catch(() => {});
    return done;
  };
}

function sightingsOf(table: PinTable, service: string, items: readonly PinnedItem[]): readonly Sighting[] {
  const context: ReviewContext = { forms: formsOf(items), elsewhere: toolsElsewhere(table, service) };
  const present = new Set(items.map(itemKey));
  const gone = new Set(
    table
      .records(service)
      .filter((record) => !present.has(itemKey(record)))
      .map(({ kind, seen }) => nameless(kind, seen.text)),
  );
  const looked = table.isLookedAt(service);
  return items.map((item) => {
    const known = table.find(service, item.kind, item.name);
    const flags = known?.seen.digest === item.digest ? known.flags : reviewItem(item, context);
    if (table.damage !== "none") return sighting(item, flags, "damaged");
    if (!looked) return sighting(item, flags, "first");
    return sighting(item, flags, gone.has(nameless(item.kind, item.text)) ? "renamed" : "later");
  });
}

/** One installed package serves several services: what one of them was pinned with is not new for another. */
function packageOccasion(table: PinTable, { kind, name, digest }: PinnedItem): Sighting["occasion"] {
  if (table.damage !== "none") return "damaged";
  const others = table.services().flatMap((service) => table.find(service, kind, name) ?? []);
  return others.every(({ accepted, state }) => state === "accepted" && accepted?.digest === digest) ? "first" : "later";
}

function sighting(item: PinnedItem, flags: Sighting["flags"], occasion: Sighting["occasion"]): Sighting {
  const { kind, name, digest, text } = item;
  return { kind, name, definition: { digest, text: text.length > MAX_KEPT_CHARACTERS ? "" : text }, flags, occasion };
}

function toolsElsewhere(table: PinTable, service: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const other of table.services()) {
    if (other === service) continue;
    for (const { kind, name } of table.records(other)) if (kind === "tool") found.set(name, other);
  }
  return found;
}

/** A definition without its name: equal ones are one item under two names. */
function nameless(kind: string, text: string): string {
  if (text === "" || kind === "instructions") return "";
  const { name: _, uriTemplate: __, ...rest } = JSON.parse(text) as { readonly [field: string]: JsonValue };
  return `${kind}\0${canonicalJson(rest)}`;
}

/** What of a change goes on record: an item that was never accepted and is gone makes room, and beyond that nothing new does. */
function withinLimit(table: PinTable, service: string, changed: readonly PinRecord[]): Omit<PinChange, "lookedAt"> {
  const present = table.records(service);
  const isFresh = ({ kind, name }: PinRecord) => table.find(service, kind, name) === undefined;
  const fresh = changed.filter(isFresh);
  const known = changed.filter((record) => !isFresh(record));
  if (present.length + fresh.length <= MAX_ITEMS) return { put: changed, drop: [] };
  const kept = new Set(known.map(itemKey));
  const drop = present.filter((record) => record.accepted === undefined && !kept.has(itemKey(record)));
  return { put: [...known, ...fresh.slice(0, Math.max(0, MAX_ITEMS - present.length + drop.length))], drop };
}

function withoutHeld(surface: Surface, held: readonly HeldItem[]): Surface {
  const taken = new Set(held.map(itemKey));
  const left = (list: PinnedList) =>
    surface[list].filter((definition) => {
      const name = nameIn(list, definition);
      return name !== undefined && !taken.has(itemKey({ kind: kindOf(list), name }));
    });
  const rest = {
    tools: left("tools"),
    prompts: left("prompts"),
    resources: surface.resources,
    resourceTemplates: left("resourceTemplates"),
    instructions: taken.has(itemKey({ kind: "instructions", name: INSTRUCTIONS_NAME }))
      ? undefined
      : surface.instructions,
    capabilities: surface.capabilities,
  };
  return { ...rest, digest: surfaceDigest(rest) };
}

function choose(records: readonly PinRecord[], service: string, choice: PinChoice | undefined): readonly PinRecord[] {
  if (choice === undefined) return records;
  const found = records.find(({ kind, name }) => kind === choice.kind && name === choice.name);
  if (found === undefined) {
    throw new Problem("not_found", {
      detail: `\`${service}\` has no ${choice.kind.slice(0, 64)} \`${choice.name.slice(0, 64)}\``,
      remedy: `See \`doorward service pins ${service}\`.`,
    });
  }
  if (choice.digest !== undefined && choice.digest !== found.seen.digest) {
    throw new Problem("invalid_request", {
      detail: `the ${choice.kind} \`${choice.name.slice(0, 64)}\` has changed again since it was looked at`,
      remedy: `Look at it again with \`doorward service pins ${service}\`.`,
    });
  }
  return [found];
}

function heldItem(service: string, { kind, name, seen, why }: PinRecord): HeldItem {
  return { service, kind, name, digest: seen.digest, why: why ?? "changed" };
}

function heldFirst(one: PinView, other: PinView): number {
  return Number(other.state === "held") - Number(one.state === "held");
}

function changedEvent(
  service: string,
  held: readonly { readonly before: PinRecord | undefined; readonly record: PinRecord }[],
): AuditEvent {
  const items = held.slice(0, MAX_NAMED).map(({ before, record }) => ({
    kind: record.kind,
    name: shortName(record),
    why: record.why ?? null,
    was: before?.seen.digest ?? null,
    is: record.seen.digest,
    parts: changedParts(before?.seen.text, record.seen.text),
    flags: record.flags.map(({ flag }) => flag),
  }));
  return { type: "upstream.changed", service, code: "held", data: { count: held.length, items } };
}

function pinnedEvent(service: string, records: readonly PinRecord[], by: string): AuditEvent {
  const items = records
    .slice(0, MAX_NAMED)
    .map((record) => ({ kind: record.kind, name: shortName(record), digest: record.seen.digest }));
  return { type: "upstream.pinned", service, data: { by, count: records.length, items } };
}

function shortName({ name }: PinRecord): string {
  return name.length <= MAX_NAME_CHARACTERS ? name : `${name.slice(0, MAX_NAME_CHARACTERS)}…`;
}

function itemKey({ kind, name }: { readonly kind: string; readonly name: string }): string {
  return `${kind}\0${name}`;
}

function holdKey(item: Pick<HeldItem, "service" | "kind" | "name">): string {
  return `${item.service}\0${itemKey(item)}`;
}
