import type { Kysely } from "kysely";
import type { Database } from "../store/schema.ts";

/** One issued key, without the key. */
export interface ApiKeyRecord {
  /** `key_…`. */
  readonly id: string;
  readonly agent: string;
  readonly environment: string;
  /** Patterns over `service:operation`; `undefined`: all that the agent may do. */
  readonly scopes: readonly string[] | undefined;
  /** SHA-256 of the whole key, hex. */
  readonly hash: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
}

/** Where issued keys are kept. Each method throws {@link Problem} `store_unavailable` when the store cannot do it. */
export interface ApiKeyStore {
  load(): Promise<readonly ApiKeyRecord[]>;
  insert(record: ApiKeyRecord): Promise<void>;
  revoke(ids: readonly string[], at: Date): Promise<void>;
  /** Moves the end of keys to an instant, where it is later. */
  shorten(ids: readonly string[], end: Date): Promise<void>;
  touch(uses: readonly { readonly id: string; readonly at: Date }[]): Promise<void>;
  /** Forgets keys that ended before an instant. */
  prune(before: Date): Promise<void>;
}

/** Keeps issued keys in the table `api_keys`. */
export function createApiKeyStore(db: Kysely<Database>): ApiKeyStore {
  return {
    async load() {
      const rows = await db.selectFrom("api_keys").selectAll().orderBy("created_at").execute();
      return rows.map((row) => ({
        id: row.id,
        agent: row.agent,
        environment: row.environment,
        scopes: row.scopes === null ? undefined : (JSON.parse(row.scopes) as string[]),
        hash: Buffer.from(row.hash).toString("hex"),
        createdAt: new Date(row.created_at),
        expiresAt: new Date(row.expires_at),
        revokedAt: row.revoked_at === null ? undefined : new Date(row.revoked_at),
        lastUsedAt: row.last_used_at === null ? undefined : new Date(row.last_used_at),
      }));
    },
    async insert(record) {
      await db
        .insertInto("api_keys")
        .values({
          id: record.id,
          agent: record.agent,
          environment: record.environment,
          scopes: record.scopes === undefined ? null : JSON.stringify(record.scopes),
          hash: Buffer.from(record.hash, "hex"),
          created_at: record.createdAt.toISOString(),
          expires_at: record.expiresAt.toISOString(),
          revoked_at: null,
          last_used_at: null,
        })
        .execute();
    },
    async revoke(ids, at) {
      if (ids.length === 0) return;
      await db
        .updateTable("api_keys")
        .set({ revoked_at: at.toISOString() })
        .where("id", "in", ids)
        .where("revoked_at", "is", null)
        .execute();
    },
    async shorten(ids, end) {
      if (ids.length === 0) return;
      const at = end.toISOString();
      await db
        .updateTable("api_keys")
        .set({ expires_at: at })
        .where("id", "in", ids)
        .where("expires_at", ">", at)
        .execute();
    },
    async touch(uses) {
      await db.transaction().execute(async (transaction) => {
        for (const { id, at } of uses) {
          await transaction
            .updateTable("api_keys")
            .set({ last_used_at: at.toISOString() })
            .where("id", "=", id)
            .execute();
        }
      });
    },
    async prune(before) {
      await db.deleteFrom("api_keys").where("expires_at", "<", before.toISOString()).execute();
    },
  };
}
