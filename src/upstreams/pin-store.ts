import type { Kysely, Selectable } from "kysely";
import type { Database } from "../store/schema.ts";
import { readSetting, writeSetting } from "../store/settings.ts";

/** One pin as it lies in the database. */
export type PinRow = Selectable<Database["pins"]>;

/** Which row. */
export type PinKey = Pick<PinRow, "service" | "kind" | "name">;

/** The pins of a home and the tag over all of them. Knows nothing of keys. */
export interface PinStore {
  load(): Promise<{ readonly rows: readonly PinRow[]; readonly setTag: Uint8Array | undefined }>;
  /** Writes and removes rows together with the tag over the new set, all or nothing, durably. */
  change(change: {
    readonly put: readonly PinRow[];
    readonly remove: readonly PinKey[];
    readonly setTag: Uint8Array;
  }): Promise<void>;
}

/** The pins in the home's database. */
export function createPinStore(db: Kysely<Database>): PinStore {
  return {
    load: () =>
      db.transaction().execute(async (transaction) => ({
        rows: await transaction
          .selectFrom("pins")
          .selectAll()
          .orderBy("service")
          .orderBy("kind")
          .orderBy("name")
          .execute(),
        setTag: await readSetting(transaction, "pins_tag"),
      })),
    change: ({ put, remove, setTag }) =>
      db.transaction().execute(async (transaction) => {
        for (const { service, kind, name } of [...remove, ...put]) {
          await transaction
            .deleteFrom("pins")
            .where("service", "=", service)
            .where("kind", "=", kind)
            .where("name", "=", name)
            .execute();
        }
        for (const row of put) await transaction.insertInto("pins").values(row).execute();
        await writeSetting(transaction, "pins_tag", setTag);
      }),
  };
}
