import type { AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import type { Secret } from "../base/secret.ts";
import { type Pairing, pairingKey } from "./plan-bindings.ts";
import type { SecretReader } from "./secret-reader.ts";

/** How long a secret read once may be used before it is read, and its reading recorded, again. */
export const LEASE_TTL_MS = 60_000;

/** A secret that changes under every reading is not handed out. */
const MAX_READINGS = 3;

/** A secret handed out for a while, to one service at one origin. The same object is given to all calls within its time. */
export interface Lease {
  readonly secret: Secret;
  readonly version: string;
  readonly expiresAt: Date;
  /** Under 8 bytes: is not scrubbed from text. */
  readonly short: boolean;
}

/** The leases in force. */
export interface Leases {
  /** The lease of a pairing that may use its secret: the one in force, or a promise of a new one. Rejects as the reader does. */
  get(pairing: Pairing, now: Date): Lease | Promise<Lease>;
  /** @returns How many ended. A reading under way is done again. */
  drop(match: (lease: Pairing) => boolean): number;
}

interface Held {
  readonly pairing: Pairing;
  readonly lease: Lease;
  readonly issuedAt: Date;
}

/**
 * Leases of secrets, so that a secret is read and its reading recorded once a minute and not once a call.
 *
 * The reading is on record before the lease is handed out. Parallel calls share one reading.
 */
export function createLeases({ read, audit }: { readonly read: SecretReader; readonly audit: AuditLog }): Leases {
  const inForce = new Map<string, Held>();
  const underWay = new Map<string, Promise<Lease>>();
  // Counts the drops, so that what was read before one is not handed out after it.
  let epoch = 0;

  const issue = async (pairing: Pairing, now: Date): Promise<Lease> => {
    for (let reading = 1; ; reading += 1) {
      const before = epoch;
      const { secret, version, expiresAt, short } = await read(pairing.ref, now);
      await audit.append({
        type: "secret.read",
        service: pairing.service,
        data: { secret: pairing.ref, version, origin: pairing.origin },
      });
      if (before !== epoch) {
        if (reading < MAX_READINGS) continue;
        throw new Problem("secret_unavailable", {
          reason: `\`${pairing.ref}\` changed during each of ${reading} readings`,
        });
      }
      const end = new Date(now.getTime() + LEASE_TTL_MS);
      const lease = { secret, version, short, expiresAt: expiresAt !== undefined && expiresAt < end ? expiresAt : end };
      inForce.set(leaseKey(pairing), { pairing, lease, issuedAt: now });
      return lease;
    }
  };

  return {
    get(pairing, now) {
      const key = leaseKey(pairing);
      const held = inForce.get(key);
      // A clock set back must not make a lease last longer.
      if (held !== undefined && held.issuedAt <= now && now < held.lease.expiresAt) return held.lease;
      const shared = underWay.get(key);
      if (shared !== undefined) return shared;
      const issued = issue(pairing, now).finally(() => underWay.delete(key));
      underWay.set(key, issued);
      return issued;
    },
    drop(match) {
      epoch += 1;
      let ended = 0;
      for (const [key, { pairing }] of inForce) {
        if (match(pairing) && inForce.delete(key)) ended += 1;
      }
      return ended;
    },
  };
}

function leaseKey(pairing: Pairing): string {
  return `${pairingKey(pairing)}\0${pairing.origin}`;
}
