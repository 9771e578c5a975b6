import type { Kysely } from "kysely";
import { z } from "zod";
import { PERSON_ROLES, type PersonRole } from "../config/person-role.ts";
import type { Database } from "../store/schema.ts";
import type { Keyring } from "../vault/keyring.ts";
import { isTagged, tagOf } from "./row-tag.ts";

/** A one-time link, without its token. */
export interface LinkRecord {
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  /** `lnk_…`. */
  readonly id: string;
  readonly person: string;
  readonly name: string;
  readonly role: PersonRole;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Where links are kept until they are used. Each method throws {@link Problem} `store_unavailable` when the store cannot do it. */
export interface LinkStore {
  insert(record: LinkRecord): Promise<void>;
  count(): Promise<number>;
  /** Takes a link out, so that of any number of takers one gets it. `undefined`: there is none, or somebody else wrote it. */
  take(hash: string): Promise<LinkRecord | undefined>;
  /** Forgets the links of a person. @returns How many. */
  removeOf(person: string): Promise<number>;
  prune(before: Date): Promise<void>;
}

const PURPOSE = "person-link";
const ROLE = z.enum(PERSON_ROLES);

/** Keeps links in the table `person_links`. Each row is authenticated. */
export function createLinkStore(db: Kysely<Database>, keyring: Pick<Keyring, "tag">): LinkStore {
  return {
    async insert({ createdAt, expiresAt, ...link }) {
      const row = { ...link, created_at: createdAt.toISOString(), expires_at: expiresAt.toISOString() };
      await db
        .insertInto("person_links")
        .values({ ...row, tag: tagOf(keyring, PURPOSE, row) })
        .execute();
    },
    async count() {
      const row = await db
        .selectFrom("person_links")
        .select(({ fn }) => fn.countAll<number>().as("count"))
        .executeTakeFirst();
      return row?.count ?? 0;
    },
    async take(hash) {
      const row = await db.selectFrom("person_links").selectAll().where("hash", "=", hash).executeTakeFirst();
      if (row === undefined) return undefined;
      const { numDeletedRows } = await db.deleteFrom("person_links").where("hash", "=", hash).executeTakeFirst();
      if (numDeletedRows !== 1n || !isTagged(keyring, PURPOSE, row)) return undefined;
      const { id, person, name, role, created_at, expires_at } = row;
      const dates = { createdAt: new Date(created_at), expiresAt: new Date(expires_at) };
      return { hash, id, person, name, role: ROLE.parse(role), ...dates };
    },
    async removeOf(person) {
      const { numDeletedRows } = await db.deleteFrom("person_links").where("person", "=", person).executeTakeFirst();
      return Number(numDeletedRows);
    },
    async prune(before) {
      await db.deleteFrom("person_links").where("expires_at", "<=", before.toISOString()).execute();
    },
  };
}
