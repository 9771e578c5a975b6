import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import type { PersonRole } from "../config/person-role.ts";
import type { Keyring } from "../vault/keyring.ts";
import type { Person, SignIn } from "./person.ts";
import type { SessionRecord, SessionStore } from "./person-session-store.ts";
import { type CookieRules, clearCookie, readCookie, sessionCookie } from "./session-cookie.ts";

/** A session ends after this long, whatever happens. */
const SESSION_MS = 8 * 3_600_000;
/** A session that nobody uses ends after this long; a restart counts as a use. */
const IDLE_MS = 3_600_000;
/** Sessions at once; the oldest gives way. */
const SESSIONS_LIMIT = 1_000;

/** What a page needs of people: who is there, and where they sign in. */
export interface PersonSessions {
  /** Who a request comes from. At once: sessions are in memory. `undefined`: nobody, or not any more. */
  current(request: IncomingMessage): Person | undefined;
  /** Where to send a browser so that a person signs in. @param returnTo - A path of ours, which is where they come back to. */
  loginUrl(returnTo: string): string;
}

/** Who signed in, and how. */
export interface NewSession {
  readonly person: string;
  readonly name: string;
  readonly how: SignIn;
  /** Given by the link or the passkey; empty where the groups say it. */
  readonly roles: readonly PersonRole[];
  /** Of the provider that said so, where one did. */
  readonly issuer: string | undefined;
  readonly groups: readonly string[];
}

/** Sessions of people. */
export interface SessionKeeper extends PersonSessions {
  /**
   * Signs somebody in.
   *
   * @returns The value of `Set-Cookie`. @throws {Problem} `audit_unavailable`, `store_unavailable`: nobody is signed in then.
   */
  open(who: NewSession): Promise<{ readonly person: Person; readonly cookie: string }>;
  /** Signs out. @returns The value of `Set-Cookie` that takes the cookie away. Holds even when it throws. */
  close(person: Person): Promise<string>;
  /** Ends all sessions of a person. @returns How many. */
  closeAllOf(person: string, by: string): Promise<number>;
  /** What a form of this session must carry: a foreign page cannot know it. */
  formToken(person: Person): string;
  isFormToken(person: Person, token: string): boolean;
  list(): readonly Person[];
}

export interface SessionDeps {
  readonly store: SessionStore;
  readonly keyring: Pick<Keyring, "deriveKey">;
  readonly audit: AuditLog;
  readonly now: () => Date;
  readonly cookie: () => CookieRules;
  /** The roles that the loaded file gives to groups of an issuer. Empty: none, or another issuer. */
  readonly rolesOf: (issuer: string, groups: readonly string[]) => readonly PersonRole[];
}

interface Live {
  readonly record: SessionRecord;
  usedAtMs: number;
}

/**
 * The sessions of people: a cookie of 256 random bits, of which the store has the hash. They are in memory, so that each
 * request is answered at once and a closed session is closed; a restart brings them back from the store.
 */
export async function createPersonSessions(deps: SessionDeps): Promise<SessionKeeper> {
  const { store, audit, now, cookie } = deps;
  const formKey = deps.keyring.deriveKey("console-forms");
  const live = new Map<string, Live>();
  for (const record of await store.load(now())) live.set(record.hash, { record, usedAtMs: now().getTime() });

  const forget = async (records: readonly SessionRecord[], by: string, reason: string) => {
    for (const { hash } of records) live.delete(hash);
    await store.remove(records.map(({ hash }) => hash));
    for (const { id, person } of records) {
      await audit.append({ type: "token.revoked", user: person, data: { kind: "session", token: id, by, reason } });
    }
  };
  const personOf = (entry: Live): Person | undefined => {
    const { id, person, name, how, issuer, groups, createdAt, expiresAt } = entry.record;
    const roles = issuer === undefined ? entry.record.roles : deps.rolesOf(issuer, groups);
    if (roles.length === 0) return undefined;
    return { id: person, name, roles, how, session: id, since: createdAt, expiresAt };
  };
  const formToken = (person: Person) => createHmac("sha256", formKey).update(person.session).digest("base64url");

  return {
    current(request) {
      const value = readCookie(request, cookie());
      const entry = value === undefined ? undefined : live.get(hashOf(value));
      if (entry === undefined) return undefined;
      const at = now().getTime();
      const { record } = entry;
      if (at >= record.expiresAt.getTime() || at - entry.usedAtMs > IDLE_MS) {
        void forget([record], "doorward", "expired").catch(() => {});
        return undefined;
      }
      entry.usedAtMs = at;
      return personOf(entry);
    },
    loginUrl: (returnTo) => `/console/login?return=${encodeURIComponent(returnTo)}`,
    async open(who) {
      const at = now();
      const value = randomBytes(32).toString("base64url");
      const record: SessionRecord = {
        ...who,
        hash: hashOf(value),
        id: newId("ses"),
        createdAt: at,
        expiresAt: new Date(at.getTime() + SESSION_MS),
      };
      const entry = { record, usedAtMs: at.getTime() };
      const person = personOf(entry);
      if (person === undefined) throw new Error("a session without a role");
      await audit.append({
        type: "token.issued",
        user: who.person,
        data: {
          kind: "session",
          token: record.id,
          name: who.name,
          how: who.how,
          roles: [...person.roles],
          issuer: who.issuer,
          expires_at: record.expiresAt.toISOString(),
        },
      });
      await store.insert(record);
      live.set(record.hash, entry);
      if (live.size > SESSIONS_LIMIT) {
        const oldest = [...live.values()].reduce((one, other) => (other.usedAtMs < one.usedAtMs ? other : one));
        await forget([oldest.record], "doorward", "too_many_sessions");
      }
      return { person, cookie: sessionCookie(value, SESSION_MS / 1_000, cookie()) };
    },
    async close(person) {
      const mine = recordsOf(live, ({ id }) => id === person.session);
      await forget(mine, person.id, "signed_out");
      return clearCookie(cookie());
    },
    async closeAllOf(person, by) {
      const theirs = recordsOf(live, (record) => record.person === person);
      await forget(theirs, by, "revoked");
      return theirs.length;
    },
    formToken,
    isFormToken(person, token) {
      const right = Buffer.from(formToken(person));
      const given = Buffer.from(token);
      return given.length === right.length && timingSafeEqual(given, right);
    },
    list: () => [...live.values()].flatMap((entry) => personOf(entry) ?? []),
  };
}

function recordsOf(live: ReadonlyMap<string, Live>, wanted: (record: SessionRecord) => boolean): SessionRecord[] {
  return [...live.values()].map(({ record }) => record).filter(wanted);
}

function hashOf(value: string): string {
  return createHash("sha256").update(value, "utf8").digest("hex");
}
