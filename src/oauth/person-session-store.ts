import type { Kysely } from "kysely";
import { z } from "zod";
import { PERSON_ROLES } from "../config/person-role.ts";
import type { Database } from "../store/schema.ts";
import type { Keyring } from "../vault/keyring.ts";
import type { NewSession } from "./person-sessions.ts";
import { isTagged, tagOf } from "./row-tag.ts";

/** A session as it is kept. */
export interface SessionRecord extends NewSession {
  /** SHA-256 of the cookie, hex. */
  readonly hash: string;
  /** `ses_…`. */
  readonly id: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Where sessions are kept. Each method throws {@link Problem} `store_unavailable` when the store cannot do it. */
export interface SessionStore {
  /** Those that have not ended. A row that somebody else wrote is left out. */
  load(now: Date): Promise<readonly SessionRecord[]>;
  insert(record: SessionRecord): Promise<void>;
  remove(hashes: readonly string[]): Promise<void>;
}

const FACTS = z.strictObject({
  name: z.string(),
  how: z.enum(["link", "passkey", "oidc"]),
  roles: z.array(z.enum(PERSON_ROLES)),
  issuer: z.string().optional(),
  groups: z.array(z.string()),
});

const PURPOSE = "person-session";

/** Keeps sessions in the table `person_sessions`. Each row is authenticated: who can write to the file signs nobody in. */
export function createSessionStore(db: Kysely<Database>, keyring: Pick<Keyring, "tag">): SessionStore {
  return {
    async load(now) {
      await db.deleteFrom("person_sessions").where("expires_at", "<=", now.toISOString()).execute();
      const rows = await db.selectFrom("person_sessions").selectAll().orderBy("created_at").execute();
      return rows
        .filter((row) => isTagged(keyring, PURPOSE, row))
        .map((row) => {
          const { name, how, roles, issuer, groups } = FACTS.parse(JSON.parse(row.facts));
          return {
            hash: row.hash,
            id: row.id,
            person: row.person,
            name,
            how,
            roles,
            issuer,
            groups,
            createdAt: new Date(row.created_at),
            expiresAt: new Date(row.expires_at),
          };
        });
    },
    async insert({ hash, id, person, name, how, roles, issuer, groups, createdAt, expiresAt }) {
      const row = {
        hash,
        id,
        person,
        facts: JSON.stringify({ name, how, roles, issuer, groups }),
        created_at: createdAt.toISOString(),
        expires_at: expiresAt.toISOString(),
      };
      await db
        .insertInto("person_sessions")
        .values({ ...row, tag: tagOf(keyring, PURPOSE, row) })
        .execute();
    },
    async remove(hashes) {
      if (hashes.length > 0) await db.deleteFrom("person_sessions").where("hash", "in", hashes).execute();
    },
  };
}
