import type { Keyring } from "../vault/keyring.ts";
import {
  doubtedRecord,
  isAuthentic,
  SERVICE_KIND,
  sameBytes,
  serviceRow,
  setTag,
  toRecord,
  toRow,
} from "./pin-record.ts";
import type { PinRecord } from "./pin-states.ts";
import type { PinKey, PinRow, PinStore } from "./pin-store.ts";
import type { PinKind } from "./surface-digest.ts";

/** The pins of a home in memory, as they lie in the store: one cannot change without the other. */
export interface PinTable {
  /** Whether a surface of the service was judged before; after damage every service counts as looked at. */
  isLookedAt(service: string): boolean;
  find(service: string, kind: PinKind, name: string): PinRecord | undefined;
  /** The records of a service in the order in which they were made. */
  records(service: string): readonly PinRecord[];
  services(): readonly string[];
  /** Whether the record was edited: new items are held whatever they are. `now`: found by this load. */
  readonly damage: "none" | "before" | "now";
  /**
   * Writes records of one service.
   *
   * @param change - `lookedAt`: also that its surface was judged.
   * @throws {Problem} `store_unavailable`; nothing has changed then.
   */
  write(service: string, change: PinChange, now: Date): Promise<void>;
  /** Forgets what a service offered. Its packages stay on record: their files stay installed. */
  forget(service: string): Promise<void>;
}

export interface PinChange {
  readonly put: readonly PinRecord[];
  readonly drop: readonly PinRecord[];
  readonly lookedAt: boolean;
}

/** Stands for every service in the row that keeps damage on record. No service has this name. */
const EVERY_SERVICE = "*";

/**
 * Loads the pins. When a row or the set of rows is not as it was written, nothing of it counts as accepted, and from then on no
 * first look at a service is trusted: what was taken away cannot be told from what never was.
 */
export async function loadPinTable(deps: {
  readonly store: PinStore;
  readonly keyring: Keyring;
  readonly now: Date;
}): Promise<PinTable> {
  const { store, keyring } = deps;
  const { rows: loaded, setTag: tag } = await store.load();
  const rows = new Map(loaded.map((row) => [rowKey(row), row]));
  const services = new Map<string, Map<string, PinRecord>>();
  const lookedAt = new Set(loaded.filter(({ kind }) => kind === SERVICE_KIND).map(({ service }) => service));
  const intact = sameBytes(tag, setTag(keyring, loaded)) && loaded.every((row) => isAuthentic(keyring, row));
  for (const row of loaded) {
    if (row.kind === SERVICE_KIND) continue;
    recordsOf(services, row.service).set(itemKey(row), intact ? toRecord(row) : doubtedRecord(row));
  }
  const damage = !intact ? "now" : lookedAt.has(EVERY_SERVICE) ? "before" : "none";

  const change = async (put: readonly PinRow[], remove: readonly PinKey[]) => {
    const next = new Map(rows);
    for (const key of remove) next.delete(rowKey(key));
    for (const row of put) next.set(rowKey(row), row);
    await store.change({ put, remove, setTag: setTag(keyring, next.values()) });
    for (const key of remove) rows.delete(rowKey(key));
    for (const row of put) rows.set(rowKey(row), row);
  };

  if (!intact) {
    const doubted = loaded
      .filter(({ kind }) => kind !== SERVICE_KIND)
      .map((row) => toRow(keyring, row.service, doubtedRecord(row)));
    const markers = [...lookedAt, EVERY_SERVICE].map((service) => serviceRow(keyring, service, deps.now));
    await change([...markers, ...doubted], []);
  }

  return {
    damage,
    isLookedAt: (service) => damage !== "none" || lookedAt.has(service),
    find: (service, kind, name) => services.get(service)?.get(itemKey({ kind, name })),
    records: (service) => [...(services.get(service)?.values() ?? [])],
    services: () => [...services.keys()],
    async write(service, { put, drop, lookedAt: look }, now) {
      const marker = look && !lookedAt.has(service) ? [serviceRow(keyring, service, now)] : [];
      const rowsPut = [...marker, ...put.map((record) => toRow(keyring, service, record))];
      if (rowsPut.length === 0 && drop.length === 0) return;
      await change(
        rowsPut,
        drop.map(({ kind, name }) => ({ service, kind, name })),
      );
      if (look) lookedAt.add(service);
      const records = recordsOf(services, service);
      for (const record of drop) records.delete(itemKey(record));
      for (const record of put) records.set(itemKey(record), record);
    },
    async forget(service) {
      const gone = [...rows.values()].filter((row) => row.service === service && row.kind !== "package");
      if (gone.length > 0) await change([], gone);
      const records = recordsOf(services, service);
      for (const row of gone) records.delete(itemKey(row));
      lookedAt.delete(service);
    },
  };
}

function recordsOf(services: Map<string, Map<string, PinRecord>>, service: string): Map<string, PinRecord> {
  const known = services.get(service);
  if (known !== undefined) return known;
  const records = new Map<string, PinRecord>();
  services.set(service, records);
  return records;
}

/** Kinds hold no NUL, so no two items share a key. */
function itemKey({ kind, name }: { readonly kind: string; readonly name: string }): string {
  return `${kind}\0${name}`;
}

function rowKey({ service, kind, name }: PinKey): string {
  return `${service}\0${itemKey({ kind, name })}`;
}
