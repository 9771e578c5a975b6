import type { Kysely, Selectable } from "kysely";
import type { Database } from "../store/schema.ts";

/** One sealed secret, as it lies in the database. */
export type SecretRow = Selectable<Database["secrets"]>;

/** The sealed secrets of a home. Knows nothing of keys. */
export interface SecretStore {
  find(name: string): Promise<SecretRow | undefined>;
  /** By name. */
  list(): Promise<readonly SecretRow[]>;
  /**
   * Writes the next version of a secret, durably.
   *
   * @param previous - The version that it replaces; `undefined` for a new secret.
   * @returns `false` when another writer was faster: nothing was written.
   */
  put(row: SecretRow, previous: number | undefined): Promise<boolean>;
  /** @returns `false` when there was none. */
  remove(name: string): Promise<boolean>;
}

/** The secrets in the home's database. */
export function createSecretStore(db: Kysely<Database>): SecretStore {
  return {
    find: (name) => db.selectFrom("secrets").selectAll().where("name", "=", name).executeTakeFirst(),
    list: () => db.selectFrom("secrets").selectAll().orderBy("name").execute(),
    async put(row, previous) {
      if (previous === undefined) {
        const { numInsertedOrUpdatedRows: inserted } = await db
          .insertInto("secrets")
          .values(row)
          .onConflict((conflict) => conflict.column("name").doNothing())
          .executeTakeFirstOrThrow();
        return inserted === 1n;
      }
      const { name, ...fields } = row;
      const { numUpdatedRows: updated } = await db
        .updateTable("secrets")
        .set(fields)
        .where("name", "=", name)
        .where("version", "=", previous)
        .executeTakeFirstOrThrow();
      return updated === 1n;
    },
    async remove(name) {
      const { numDeletedRows: removed } = await db
        .deleteFrom("secrets")
        .where("name", "=", name)
        .executeTakeFirstOrThrow();
      return removed === 1n;
    },
  };
}
