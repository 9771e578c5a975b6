import { Secret } from "../base/secret.ts";
import type { Lease } from "../vault/create-vault.ts";
import { MIN_SCRUBBABLE_BYTES } from "../vault/secret-value.ts";

/** A token is renewed so long before it ends, so that none ends on its way. */
const MARGIN_MS = 30_000;

/** When a token that is issued now is renewed; one of a short life, after half of it. */
export function renewalAtMs(lifeSeconds: number, now: Date): number {
  const lifeMs = lifeSeconds * 1_000;
  return now.getTime() + lifeMs - Math.min(MARGIN_MS, lifeMs / 2);
}

/** A token that a server elsewhere gave, leased as secrets of the vault are. @param token - ASCII. */
export function tokenLease(token: string, { version, expiresAt }: Pick<Lease, "version" | "expiresAt">): Lease {
  return { secret: new Secret(token), version, expiresAt, short: token.length < MIN_SCRUBBABLE_BYTES };
}
