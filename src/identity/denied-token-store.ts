import type { Kysely } from "kysely";
import type { Database } from "../store/schema.ts";

/** One refusal of a certificate or foreign token, until its issuer's word for it ends. */
export interface DeniedToken {
  readonly id: string;
  readonly agent: string;
  readonly deniedAt: Date;
  readonly expiresAt: Date;
}

/** Where refusals outlive the process. Each method throws {@link Problem} `store_unavailable` when the store cannot do it. */
export interface DeniedTokenStore {
  load(): Promise<readonly DeniedToken[]>;
  /** One of the same id stays as it is. */
  insert(denied: readonly DeniedToken[]): Promise<void>;
  prune(before: Date): Promise<void>;
}

/** Keeps refusals in the table `denied_tokens`. */
export function createDeniedTokenStore(db: Kysely<Database>): DeniedTokenStore {
  return {
    async load() {
      const rows = await db.selectFrom("denied_tokens").selectAll().orderBy("denied_at").execute();
      return rows.map(({ id, agent, denied_at, expires_at }) => ({
        id,
        agent,
        deniedAt: new Date(denied_at),
        expiresAt: new Date(expires_at),
      }));
    },
    async insert(denied) {
      if (denied.length === 0) return;
      await db
        .insertInto("denied_tokens")
        .values(
          denied.map(({ id, agent, deniedAt, expiresAt }) => ({
            id,
            agent,
            denied_at: deniedAt.toISOString(),
            expires_at: expiresAt.toISOString(),
          })),
        )
        .onConflict((conflict) => conflict.column("id").doNothing())
        .execute();
    },
    async prune(before) {
      await db.deleteFrom("denied_tokens").where("expires_at", "<", before.toISOString()).execute();
    },
  };
}
