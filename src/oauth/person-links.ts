import { createHash, randomBytes } from "node:crypto";
import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import type { PersonRole } from "../config/person-role.ts";
import type { LinkRecord, LinkStore } from "./person-link-store.ts";

const DEFAULT_TTL_SECONDS = 600;
const LONGEST_TTL_SECONDS = 86_400;
/** Links that wait for their use. */
const OPEN_LIMIT = 100;
/** 32 bytes in base64url. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/** For whom a link is. */
export interface LinkOrder {
  readonly role: PersonRole;
  /** A name of the owner's choice; two links with one name are one person. */
  readonly name: string | undefined;
  readonly ttlSeconds: number | undefined;
  /** Who makes it, for the evidence. */
  readonly by: string;
}

export interface MadeLink {
  readonly token: string;
  readonly record: LinkRecord;
}

/** One-time links that sign a person in. */
export interface PersonLinks {
  /** @throws {Problem} `invalid_request` for a name or a time that cannot be; `rate_limited` with too many open. */
  make(order: LinkOrder): Promise<MadeLink>;
  /** Uses a link up. @returns Whom it signs in, or why not: `used` also for one that never was. */
  use(token: string): Promise<LinkRecord | "used" | "expired">;
  revokeOf(person: string): Promise<number>;
}

/**
 * Links of 256 random bits, of which the store has the hash; of any number of uses, at once or later, one succeeds.
 *
 * Without a name the owner's link signs `owner` in, and every other link a person of its own: the owner vouches that two
 * links go to two people.
 */
export function createPersonLinks(deps: {
  readonly store: LinkStore;
  readonly audit: AuditLog;
  readonly now: () => Date;
}): PersonLinks {
  const { store, audit, now } = deps;
  return {
    async make(order) {
      const at = now();
      const ttlSeconds = order.ttlSeconds ?? DEFAULT_TTL_SECONDS;
      checkOrder(order, ttlSeconds);
      await store.prune(at);
      if ((await store.count()) >= OPEN_LIMIT) throw tooMany();
      const token = randomBytes(32).toString("base64url");
      const id = newId("lnk");
      const record: LinkRecord = {
        hash: hashOf(token),
        id,
        ...personOf(order, id),
        role: order.role,
        createdAt: at,
        expiresAt: new Date(at.getTime() + ttlSeconds * 1_000),
      };
      await audit.append({
        type: "token.issued",
        user: record.person,
        data: {
          kind: "login_link",
          token: id,
          roles: [order.role],
          by: order.by,
          expires_at: record.expiresAt.toISOString(),
        },
      });
      await store.insert(record);
      return { token, record };
    },
    async use(token) {
      const record = TOKEN.test(token) ? await store.take(hashOf(token)) : undefined;
      if (record === undefined) return "used";
      return record.expiresAt > now() ? record : "expired";
    },
    revokeOf: (person) => store.removeOf(person),
  };
}

function personOf({ role, name }: LinkOrder, id: string): { readonly person: string; readonly name: string } {
  if (name !== undefined) return { person: `user:${name}`, name };
  if (role === "owner") return { person: "owner", name: "owner" };
  return { person: `link:${id}`, name: `${role} by link` };
}

function checkOrder({ name }: LinkOrder, ttlSeconds: number): void {
  if (name !== undefined && !/^[a-z0-9][a-z0-9._@+-]{0,99}$/i.test(name)) {
    throw new Problem("invalid_request", {
      detail: "a person's name is made of letters, digits and `._@+-`",
      remedy: "Write `--name alice`, or leave it out.",
    });
  }
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > LONGEST_TTL_SECONDS) {
    throw new Problem("invalid_request", {
      detail: "a link holds for at least a second and at most a day",
      remedy: "Write `--ttl 10m`.",
    });
  }
}

function tooMany(): Problem {
  return new Problem("rate_limited", {
    detail: `${OPEN_LIMIT} links wait for their use already`,
    remedy: "Use them, or wait until they expire.",
    fields: { retry_after: 60 },
  });
}

function hashOf(token: string): string {
  return createHash("sha256").update(token, "utf8").digest("hex");
}
