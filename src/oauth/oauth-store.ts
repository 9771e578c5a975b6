import type { Kysely } from "kysely";
import type { Database } from "../store/schema.ts";

/** A row of `oauth_records`, in our names. */
export interface OAuthRecord {
  readonly model: string;
  readonly id: string;
  readonly grantId: string | undefined;
  readonly lookup: string | undefined;
  readonly sealed: Uint8Array;
  readonly expiresAt: Date | undefined;
  readonly consumedAt: Date | undefined;
  readonly revokedAt: Date | undefined;
}

export interface OAuthClientRecord {
  readonly id: string;
  readonly kind: "issued" | "registered";
  readonly agent: string | undefined;
  readonly sealed: Uint8Array;
  readonly createdAt: Date;
  readonly revokedAt: Date | undefined;
}

/** What of a record is found by. */
type Key = { readonly model: string; readonly id: string };

/** Where the authorization server keeps its state. Each method throws {@link Problem} `store_unavailable` when the store cannot do it. */
export interface OAuthStore {
  find(key: Key): Promise<OAuthRecord | undefined>;
  findByLookup(model: string, lookup: string): Promise<OAuthRecord | undefined>;
  /** Those of some models that end after an instant. */
  list(models: readonly string[], now: Date): Promise<readonly OAuthRecord[]>;
  /** Adds a record, or changes what one holds; whether it was consumed or revoked stays as it is. */
  put(record: OAuthRecord): Promise<void>;
  /** @returns Whether it was not there before. */
  insert(record: OAuthRecord): Promise<boolean>;
  /** @returns Whether it was there and not consumed. */
  consume(key: Key, at: Date): Promise<boolean>;
  remove(key: Key): Promise<void>;
  /** Marks as revoked, and keeps: who presents it is told apart from who guesses. */
  revoke(keys: readonly Key[], at: Date): Promise<void>;
  removeGrant(model: string, grantId: string): Promise<void>;
  revokeGrant(model: string, grantId: string, at: Date): Promise<void>;
  prune(before: Date): Promise<void>;
  clients(): Promise<readonly OAuthClientRecord[]>;
  putClient(client: OAuthClientRecord): Promise<void>;
  removeClient(id: string): Promise<void>;
}

/** Keeps it in `oauth_records` and `oauth_clients`. */
export function createOAuthStore(db: Kysely<Database>): OAuthStore {
  return { ...records(db), ...grants(db), ...clients(db) };
}

function records(db: Kysely<Database>) {
  return {
    async find({ model, id }: Key) {
      const row = await db
        .selectFrom("oauth_records")
        .selectAll()
        .where("model", "=", model)
        .where("id", "=", id)
        .executeTakeFirst();
      return row && recordOf(row);
    },
    async findByLookup(model: string, lookup: string) {
      const row = await db
        .selectFrom("oauth_records")
        .selectAll()
        .where("lookup", "=", lookup)
        .where("model", "=", model)
        .executeTakeFirst();
      return row && recordOf(row);
    },
    async list(models: readonly string[], now: Date) {
      const rows = await db
        .selectFrom("oauth_records")
        .selectAll()
        .where("model", "in", models)
        .where("expires_at", ">", now.toISOString())
        .execute();
      return rows.map(recordOf);
    },
    async put(record: OAuthRecord) {
      const { grant_id, lookup, sealed, expires_at, ...rest } = rowOf(record);
      const changing = { grant_id, lookup, sealed, expires_at };
      await db
        .insertInto("oauth_records")
        .values({ ...rest, ...changing })
        .onConflict((conflict) => conflict.columns(["model", "id"]).doUpdateSet(changing))
        .execute();
    },
    async insert(record: OAuthRecord) {
      const { numInsertedOrUpdatedRows = 0n } = await db
        .insertInto("oauth_records")
        .values(rowOf(record))
        .onConflict((conflict) => conflict.columns(["model", "id"]).doNothing())
        .executeTakeFirst();
      return numInsertedOrUpdatedRows > 0n;
    },
    async consume({ model, id }: Key, at: Date) {
      const { numUpdatedRows } = await db
        .updateTable("oauth_records")
        .set({ consumed_at: at.toISOString() })
        .where("model", "=", model)
        .where("id", "=", id)
        .where("consumed_at", "is", null)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async remove({ model, id }: Key) {
      await db.deleteFrom("oauth_records").where("model", "=", model).where("id", "=", id).execute();
    },
    async prune(before: Date) {
      await db.deleteFrom("oauth_records").where("expires_at", "<", before.toISOString()).execute();
    },
  };
}

function grants(db: Kysely<Database>) {
  return {
    async revoke(keys: readonly Key[], at: Date) {
      await db.transaction().execute(async (transaction) => {
        for (const { model, id } of keys) {
          await transaction
            .updateTable("oauth_records")
            .set({ revoked_at: at.toISOString() })
            .where("model", "=", model)
            .where("id", "=", id)
            .where("revoked_at", "is", null)
            .execute();
        }
      });
    },
    async removeGrant(model: string, grantId: string) {
      await db.deleteFrom("oauth_records").where("grant_id", "=", grantId).where("model", "=", model).execute();
    },
    async revokeGrant(model: string, grantId: string, at: Date) {
      await db
        .updateTable("oauth_records")
        .set({ revoked_at: at.toISOString() })
        .where("grant_id", "=", grantId)
        .where("model", "=", model)
        .where("revoked_at", "is", null)
        .execute();
    },
  };
}

function clients(db: Kysely<Database>) {
  return {
    async clients() {
      const rows = await db.selectFrom("oauth_clients").selectAll().orderBy("created_at").execute();
      return rows.map(
        (row): OAuthClientRecord => ({
          id: row.id,
          kind: row.kind as OAuthClientRecord["kind"],
          agent: row.agent ?? undefined,
          sealed: row.sealed,
          createdAt: new Date(row.created_at),
          revokedAt: dateOf(row.revoked_at),
        }),
      );
    },
    async putClient(client: OAuthClientRecord) {
      const row = {
        id: client.id,
        kind: client.kind,
        agent: client.agent ?? null,
        sealed: client.sealed,
        created_at: client.createdAt.toISOString(),
        revoked_at: client.revokedAt?.toISOString() ?? null,
      };
      await db
        .insertInto("oauth_clients")
        .values(row)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(row))
        .execute();
    },
    async removeClient(id: string) {
      await db.deleteFrom("oauth_clients").where("id", "=", id).execute();
    },
  };
}

function recordOf(row: Database["oauth_records"]): OAuthRecord {
  return {
    model: row.model,
    id: row.id,
    grantId: row.grant_id ?? undefined,
    lookup: row.lookup ?? undefined,
    sealed: row.sealed,
    expiresAt: dateOf(row.expires_at),
    consumedAt: dateOf(row.consumed_at),
    revokedAt: dateOf(row.revoked_at),
  };
}

function rowOf(record: OAuthRecord): Database["oauth_records"] {
  return {
    model: record.model,
    id: record.id,
    grant_id: record.grantId ?? null,
    lookup: record.lookup ?? null,
    sealed: record.sealed,
    expires_at: record.expiresAt?.toISOString() ?? null,
    consumed_at: record.consumedAt?.toISOString() ?? null,
    revoked_at: record.revokedAt?.toISOString() ?? null,
  };
}

function dateOf(text: string | null): Date | undefined {
  return text === null ? undefined : new Date(text);
}
