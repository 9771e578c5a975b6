import type { Kysely, Selectable } from "kysely";
import type { Database } from "../store/schema.ts";

/** What is kept of one login, or of one registration, sealed. */
export type LoginRow = Selectable<Database["upstream_logins"]>;
/** Which one: a service, what it is, and whose. */
export type LoginKey = Pick<LoginRow, "service" | "kind" | "owner">;

/** Where logins at servers elsewhere are kept. Knows nothing of keys. Each method throws {@link Problem} `store_unavailable`. */
export interface LoginStore {
  find(key: LoginKey): Promise<LoginRow | undefined>;
  /** All of one kind, by service and owner. */
  list(kind: string): Promise<readonly LoginRow[]>;
  /** Writes the first version, or another one over whatever is there, durably. */
  put(row: LoginRow): Promise<void>;
  /** Writes the next version. @returns `false` when what is there is not `previous` any more: nothing was written. */
  replace(row: LoginRow, previous: number): Promise<boolean>;
  remove(key: LoginKey): Promise<void>;
}

/** Keeps them in the table `upstream_logins`. */
export function createLoginStore(db: Kysely<Database>): LoginStore {
  const all = () => db.selectFrom("upstream_logins").selectAll();
  return {
    find: ({ service, kind, owner }) =>
      all().where("service", "=", service).where("kind", "=", kind).where("owner", "=", owner).executeTakeFirst(),
    list: (kind) => all().where("kind", "=", kind).orderBy("service").orderBy("owner").execute(),
    async put(row) {
      const { version, sealed } = row;
      await db
        .insertInto("upstream_logins")
        .values(row)
        .onConflict((conflict) => conflict.columns(["service", "kind", "owner"]).doUpdateSet({ version, sealed }))
        .execute();
    },
    async replace({ service, kind, owner, version, sealed }, previous) {
      const { numUpdatedRows } = await db
        .updateTable("upstream_logins")
        .set({ version, sealed })
        .where("service", "=", service)
        .where("kind", "=", kind)
        .where("owner", "=", owner)
        .where("version", "=", previous)
        .executeTakeFirstOrThrow();
      return numUpdatedRows === 1n;
    },
    async remove({ service, kind, owner }) {
      await db
        .deleteFrom("upstream_logins")
        .where("service", "=", service)
        .where("kind", "=", kind)
        .where("owner", "=", owner)
        .execute();
    },
  };
}
