import type { Kysely } from "kysely";
import { z } from "zod";
import { PERSON_ROLES, type PersonRole } from "../config/person-role.ts";
import type { Database } from "../store/schema.ts";
import type { Keyring } from "../vault/keyring.ts";
import { PASSKEY_ALGORITHMS } from "./cose-key.ts";
import { isTagged, tagOf } from "./row-tag.ts";
import type { NewKey } from "./webauthn.ts";

/** A passkey as it is kept. */
export interface PasskeyRecord extends NewKey {
  readonly person: string;
  readonly name: string;
  /** What it signs in with, and what it may prove. */
  readonly roles: readonly PersonRole[];
  readonly rpId: string;
  readonly createdAt: Date;
}

/** Where passkeys are kept. Each method throws {@link Problem} `store_unavailable` when the store cannot do it. */
export interface PasskeyStore {
  find(id: string): Promise<PasskeyRecord | undefined>;
  list(): Promise<readonly PasskeyRecord[]>;
  /** @returns `false` when there is one of this id already. */
  insert(record: PasskeyRecord): Promise<boolean>;
  /** Moves the counter on, if it still is what it was. */
  count(record: PasskeyRecord, signCount: number): Promise<boolean>;
  /** @returns Those that are gone now. */
  removeOf(person: string): Promise<readonly string[]>;
}

const PURPOSE = "passkey";
const ROLES = z.array(z.enum(PERSON_ROLES));
const ALGORITHM = z.literal(PASSKEY_ALGORITHMS);

/** Keeps passkeys in the table `passkeys`. Each row is authenticated: who can write to the file gives nobody a key. */
export function createPasskeyStore(db: Kysely<Database>, keyring: Pick<Keyring, "tag">): PasskeyStore {
  const rows = async (id?: string) => {
    const all = db.selectFrom("passkeys").selectAll().orderBy("created_at");
    const found = await (id === undefined ? all : all.where("id", "=", id)).execute();
    return found.filter((row) => isTagged(keyring, PURPOSE, { ...row })).map(recordOf);
  };
  return {
    find: async (id) => (await rows(id))[0],
    list: () => rows(),
    async insert(record) {
      const row = rowOf(record);
      const { numInsertedOrUpdatedRows } = await db
        .insertInto("passkeys")
        .values({ ...row, tag: tagOf(keyring, PURPOSE, row) })
        .onConflict((conflict) => conflict.column("id").doNothing())
        .executeTakeFirst();
      return numInsertedOrUpdatedRows === 1n;
    },
    async count(record, signCount) {
      const row = rowOf({ ...record, signCount });
      const { numUpdatedRows } = await db
        .updateTable("passkeys")
        .set({ sign_count: signCount, tag: tagOf(keyring, PURPOSE, row) })
        .where("id", "=", record.id)
        .where("sign_count", "=", record.signCount)
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },
    async removeOf(person) {
      const gone = (await rows()).filter((one) => one.person === person).map(({ id }) => id);
      await db.deleteFrom("passkeys").where("person", "=", person).execute();
      return gone;
    },
  };
}

function rowOf(record: PasskeyRecord) {
  return {
    id: record.id,
    person: record.person,
    name: record.name,
    roles: JSON.stringify(record.roles),
    rp_id: record.rpId,
    algorithm: record.algorithm,
    public_key: record.publicKey,
    sign_count: record.signCount,
    created_at: record.createdAt.toISOString(),
  };
}

/** Of a row whose tag is right. */
function recordOf(row: Omit<ReturnType<typeof rowOf>, "algorithm"> & { readonly algorithm: number }): PasskeyRecord {
  return {
    id: row.id,
    person: row.person,
    name: row.name,
    roles: ROLES.parse(JSON.parse(row.roles)),
    rpId: row.rp_id,
    algorithm: ALGORITHM.parse(row.algorithm),
    publicKey: row.public_key,
    signCount: row.sign_count,
    createdAt: new Date(row.created_at),
  };
}
