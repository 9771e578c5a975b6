import { timingSafeEqual } from "node:crypto";
import type { AuditLog } from "../audit/event.ts";
import type { BindingRow, BindingStore } from "./binding-store.ts";
import type { Keyring } from "./keyring.ts";
import {
  type HeldPairing,
  type KnownPairing,
  mergeOrigins,
  originsOf,
  type Pairing,
  pairingKey,
  planBindings,
} from "./plan-bindings.ts";

/** Which secret may be used by which service at which origin. */
export interface Bindings {
  isBound(pairing: Pairing): boolean;
  /** Why a pairing of the loaded file may not be used. */
  held(): readonly HeldPairing[];
  /** Takes over the pairings of a newly loaded file; see {@link planBindings}. */
  load(pairings: readonly Pairing[], additions: "bind" | "hold", now: Date): Promise<readonly HeldPairing[]>;
  /** Binds a service's pairings of the loaded file as they are: the owner looked at them. */
  confirm(service: string, by: string, now: Date): Promise<readonly Pairing[]>;
  /** Forgets a service that was removed; if it comes back, it is new. */
  forget(service: string): Promise<void>;
}

/** The tag over no binding at all, with which a home begins. */
export function emptyBindingsTag(keyring: Keyring): Buffer {
  return setTag(keyring, []);
}

/**
 * The bindings of a home. Each row carries a tag under the vault's key, and so does the set, so that a row edited, added or
 * taken away in the database binds nothing. Events come first: what is bound is on record before it can be used.
 */
export function createBindings(deps: {
  readonly store: BindingStore;
  readonly keyring: Keyring;
  readonly audit: AuditLog;
}): Bindings {
  const { store, keyring, audit } = deps;
  let loaded: readonly Pairing[] = [];
  let held: readonly HeldPairing[] = [];
  let usable = new Map<string, readonly string[]>();

  const adopt = (pairings: readonly Pairing[], nextUsable: readonly Pairing[], nextHeld: readonly HeldPairing[]) => {
    loaded = pairings;
    held = nextHeld;
    usable = new Map(nextUsable.map((pairing) => [pairingKey(pairing), originsOf(pairing)]));
  };
  const record = async (pairing: Pairing, by: string) =>
    audit.append({
      type: "secret.bound",
      service: pairing.service,
      data: { secret: pairing.ref, origin: pairing.origin, by },
    });
  const toRow = (pairing: Pairing, state: "bound" | "held", now: Date) => signedRow(keyring, pairing, state, now);

  return {
    isBound: (pairing) => usable.get(pairingKey(pairing))?.includes(pairing.origin) === true,
    held: () => held,
    async load(named, additions, now) {
      const pairings = mergeOrigins(named);
      const { rows, setTag: tag } = await store.load();
      const intact = sameBytes(tag, setTag(keyring, rows));
      const plan = planBindings({ known: rows.map((row) => toKnown(keyring, row)), intact, pairings, additions });
      for (const pairing of plan.bind) await record(pairing, "first load");
      const put = [
        ...plan.bind.map((pairing) => toRow(pairing, "bound", now)),
        ...plan.hold.map((pairing) => toRow(pairing, "held", now)),
      ];
      if (put.length > 0) await store.change({ put, remove: [], setTag: setTag(keyring, [...rows, ...put]) });
      adopt(pairings, plan.usable, plan.held);
      return plan.held;
    },
    async confirm(service, by, now) {
      const confirmed = loaded.filter((pairing) => pairing.service === service);
      if (confirmed.length === 0) return [];
      const { rows } = await store.load();
      const others = held.filter((pairing) => pairing.service !== service);
      const change = planConfirmation({ rows, loaded, confirmed, others });
      for (const pairing of confirmed) await record(pairing, by);
      const put = [
        ...confirmed.map((pairing) => toRow(pairing, "bound", now)),
        ...change.hold.map((pairing) => toRow(pairing, "held", now)),
      ];
      const kept = withoutRows(rows, [...change.remove, ...put]);
      await store.change({ put, remove: change.remove, setTag: setTag(keyring, [...kept, ...put]) });
      adopt(
        loaded,
        loaded.filter((pairing) => !others.some((other) => pairingKey(other) === pairingKey(pairing))),
        others,
      );
      return confirmed;
    },
    async forget(service) {
      const { rows, setTag: tag } = await store.load();
      const remove = rows.filter((row) => row.service === service);
      const kept = withoutRows(rows, remove);
      const intact = sameBytes(tag, setTag(keyring, rows));
      if (remove.length > 0)
        await store.change({ put: [], remove, setTag: intact ? setTag(keyring, kept) : Buffer.of() });
      adopt(
        loaded.filter((pairing) => pairing.service !== service),
        loaded.filter((pairing) => pairing.service !== service && usable.has(pairingKey(pairing))),
        held.filter((pairing) => pairing.service !== service),
      );
    },
  };
}

/**
 * What a confirmation changes beside the confirmed rows: pairings that gave the same secret away are dropped, and what else
 * is held without a row of its own gets one, because the record counts as whole again from here on.
 */
function planConfirmation(input: {
  readonly rows: readonly BindingRow[];
  readonly loaded: readonly Pairing[];
  readonly confirmed: readonly Pairing[];
  readonly others: readonly HeldPairing[];
}): { readonly remove: readonly BindingRow[]; readonly hold: readonly HeldPairing[] } {
  const present = new Set(input.loaded.map(pairingKey));
  const refs = new Set(input.confirmed.map(({ ref }) => ref));
  const known = new Set(input.rows.map(rowKey));
  return {
    remove: input.rows.filter((row) => refs.has(row.secret) && !present.has(rowKey(row))),
    hold: input.others.filter((pairing) => !known.has(pairingKey(pairing))),
  };
}

function signedRow(keyring: Keyring, pairing: Pairing, state: "bound" | "held", now: Date): BindingRow {
  const { ref: secret, service, origin } = pairing;
  const row = { secret, service, origin, state, bound_at: now.toISOString() };
  return { ...row, tag: rowTag(keyring, row) };
}

function toKnown(keyring: Keyring, row: BindingRow): KnownPairing {
  return {
    ref: row.secret,
    service: row.service,
    origin: row.origin,
    state: row.state === "bound" ? "bound" : "held",
    authentic: sameBytes(row.tag, rowTag(keyring, row)),
  };
}

function rowTag(keyring: Keyring, row: Omit<BindingRow, "tag">): Buffer {
  return keyring.tag("binding", [row.secret, row.service, row.origin, row.state, row.bound_at]);
}

function setTag(keyring: Keyring, rows: readonly BindingRow[]): Buffer {
  const members = rows.map((row) => `${rowTag(keyring, row).toString("hex")}${Buffer.from(row.tag).toString("hex")}`);
  return keyring.tag("bindings", members.sort());
}

function withoutRows(
  rows: readonly BindingRow[],
  gone: readonly Pick<BindingRow, "secret" | "service">[],
): BindingRow[] {
  const keys = new Set(gone.map(rowKey));
  return rows.filter((row) => !keys.has(rowKey(row)));
}

function rowKey({ secret, service }: Pick<BindingRow, "secret" | "service">): string {
  return pairingKey({ ref: secret, service });
}

function sameBytes(left: Uint8Array | undefined, right: Uint8Array): boolean {
  return left !== undefined && left.length === right.length && timingSafeEqual(left, right);
}
