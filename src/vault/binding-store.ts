import type { Kysely, Selectable } from "kysely";
import type { Database } from "../store/schema.ts";
import { readSetting, writeSetting } from "../store/settings.ts";

/** One pairing of secret, service and origin, as it lies in the database. */
export type BindingRow = Selectable<Database["bindings"]>;

/** Which row: one service uses one secret in one way. */
export type BindingKey = Pick<BindingRow, "secret" | "service">;

/** The bindings of a home and the tag over all of them. Knows nothing of keys. */
export interface BindingStore {
  load(): Promise<{ readonly rows: readonly BindingRow[]; readonly setTag: Uint8Array | undefined }>;
  /** Writes and removes rows together with the tag over the new set, all or nothing, durably. */
  change(change: {
    readonly put: readonly BindingRow[];
    readonly remove: readonly BindingKey[];
    readonly setTag: Uint8Array;
  }): Promise<void>;
}

/** The bindings in the home's database. */
export function createBindingStore(db: Kysely<Database>): BindingStore {
  return {
    load: () =>
      db.transaction().execute(async (transaction) => ({
        rows: await transaction.selectFrom("bindings").selectAll().orderBy("secret").orderBy("service").execute(),
        setTag: await readSetting(transaction, "bindings_tag"),
      })),
    change: ({ put, remove, setTag }) =>
      db.transaction().execute(async (transaction) => {
        for (const { secret, service } of [...remove, ...put]) {
          await transaction
            .deleteFrom("bindings")
            .where("secret", "=", secret)
            .where("service", "=", service)
            .execute();
        }
        for (const row of put) await transaction.insertInto("bindings").values(row).execute();
        await writeSetting(transaction, "bindings_tag", setTag);
      }),
  };
}
