import type { Kysely } from "kysely";
import type { Kill } from "../policy/kills.ts";
import type { Database } from "../store/schema.ts";

/** Where kills outlive the process. Each method throws {@link Problem} `store_unavailable` when the store cannot do it. */
export interface KillStore {
  load(): Promise<readonly Kill[]>;
  /** Adds a kill; one of the same target stays as it is. */
  insert(kill: Kill): Promise<void>;
  remove(target: string): Promise<void>;
}

/**
 * Keeps kills in the table `kills`.
 *
 * It stands here, beside `create-kills.ts`, because `policy/` is pure.
 */
export function createKillStore(db: Kysely<Database>): KillStore {
  return {
    async load() {
      const rows = await db.selectFrom("kills").selectAll().orderBy("set_at").execute();
      return rows.map(({ target, why, set_by, set_at }) => ({ target, why, setBy: set_by, setAt: new Date(set_at) }));
    },
    async insert({ target, why, setBy, setAt }) {
      await db
        .insertInto("kills")
        .values({ target, why, set_by: setBy, set_at: setAt.toISOString() })
        .onConflict((conflict) => conflict.column("target").doNothing())
        .execute();
    },
    async remove(target) {
      await db.deleteFrom("kills").where("target", "=", target).execute();
    },
  };
}
