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
  /**
   * The lease of a pairing that was issued and not dropped since, while it lasts. Asked for by every call, so it makes
   * nothing: whoever may no longer use a secret has its leases dropped.
   */
  latest(ref: string, service: string, origin: string, now: Date): Lease | undefined;
  /** The lease of a pairing that may use its secret: the one in force, or a promise of a new one. Rejects as the reader does. */
  get(pairing: Pairing, now: Date): Lease | Promise<Lease>;
  /** @returns How many ended. A reading under way is done again. */
  drop(match: (lease: Pairing) => boolean): number;
}

interface Held {
  readonly pairing: Pairing;
  readonly lease: Lease;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * Leases of secrets, so that a secret is read and its reading recorded once a minute and not once a call.
 *
 * The reading is on record before the lease is handed out. Parallel calls share one reading.
 */
export function createLeases({ read, audit }: { readonly read: SecretReader; readonly audit: AuditLog }): Leases {
  const inForce = new Map<string, Held>();
  const underWay = new Map<string, Promise<Lease>>();
  /** The last one that was given to a service: most have one secret at one origin. */
  const last = new Map<string, Held>();
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
      const held = { pairing, lease, issuedAtMs: now.getTime(), expiresAtMs: lease.expiresAt.getTime() };
      inForce.set(leaseKey(pairing), held);
      last.set(pairing.service, held);
      return lease;
    }
  };

  return {
    latest(ref, service, origin, now) {
      const held = last.get(service);
      if (held === undefined || held.pairing.ref !== ref || held.pairing.origin !== origin) return undefined;
      return lasts(held, now) ? held.lease : undefined;
    },
    get(pairing, now) {
      const key = leaseKey(pairing);
      const held = inForce.get(key);
      if (held !== undefined && lasts(held, now)) {
        last.set(pairing.service, held);
        return held.lease;
      }
      const shared = underWay.get(key);
      if (shared !== undefined) return shared;
      const issued = issue(pairing, now).finally(() => underWay.delete(key));
      underWay.set(key, issued);
      return issued;
    },
    drop(match) {
      epoch += 1;
      last.clear();
      let ended = 0;
      for (const [key, { pairing }] of inForce) {
        if (match(pairing) && inForce.delete(key)) ended += 1;
      }
      return ended;
    },
  };
}

/** A clock set back must not make a lease last longer. */
function lasts({ issuedAtMs, expiresAtMs }: Held, now: Date): boolean {
  const ms = now.getTime();
  return issuedAtMs <= ms && ms < expiresAtMs;
}

function leaseKey(pairing: Pairing): string {
  return `${pairingKey(pairing)}\0${pairing.origin}`;
}
