import type { AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import type { BindingStore } from "./binding-store.ts";
import { createBindings } from "./bindings.ts";
import type { Keyring } from "./keyring.ts";
import { createLeases, type Lease } from "./leases.ts";
import { type HeldPairing, originsOf, type Pairing } from "./plan-bindings.ts";
import { createSecretReader, type SecretSources } from "./secret-reader.ts";
import type { SecretStore } from "./secret-store.ts";
import {
  createSecretWriter,
  type NewSecret,
  type RemovedSecret,
  type SecretInfo,
  type StoredSecret,
} from "./secret-writer.ts";

export type { Lease } from "./leases.ts";

/** The secrets of a home: who may use which, and the only way to their bytes. */
export interface Vault {
  /**
   * Hands out a secret to a service. At once while an earlier lease of the same pairing holds, else a promise.
   *
   * @throws {Problem} by rejection, never in the caller's frame: `secret_unavailable` (missing, damaged, expired, not bound to
   *   this service and origin), `audit_unavailable` (its reading cannot be put on record), `store_unavailable`.
   */
  lease(ref: string, pairing: { readonly service: string; readonly origin: string }, now: Date): Lease | Promise<Lease>;
  /** Ends leases, for a kill. A later call must ask anew. @returns How many. */
  dropLeases(match: (lease: { readonly ref: string; readonly service: string }) => boolean): number;

  /** Creates a secret, or replaces its value by a new version. Overwrites `value`. @throws {Problem} `invalid_request`, … */
  setSecret(secret: NewSecret, now: Date): Promise<StoredSecret>;
  /** Replaces the value of a secret that is there. Overwrites `value`. @throws {Problem} `not_found`, `invalid_request`, … */
  rotateSecret(secret: NewSecret, now: Date): Promise<StoredSecret>;
  /** Removes a secret; the services that used it get `secret_unavailable`. @throws {Problem} `not_found`, … */
  removeSecret(name: string): Promise<RemovedSecret>;
  /** All secrets, without a value; `usedBy` from the loaded file. */
  listSecrets(now: Date): Promise<readonly SecretInfo[]>;

  /**
   * Takes over which service uses which secret, at each load of the file: pairings never seen are bound.
   *
   * @param additions - `hold` when the file was not accepted by the owner: then new pairings wait for `confirmService`.
   * @returns What may not be used, and why. @throws {Problem} when it cannot be recorded; the former pairings stay in force.
   */
  bindServices(pairings: readonly Pairing[], additions: "bind" | "hold", now: Date): Promise<readonly HeldPairing[]>;
  /** What of the loaded file may not be used, and why. */
  heldPairings(): readonly HeldPairing[];
  /** Binds a service as it stands in the loaded file: an owner action. @returns What was bound; empty if it has no secret. */
  confirmService(service: string, by: string, now: Date): Promise<readonly Pairing[]>;
  /** Forgets the bindings of a service that was removed. */
  unbindService(service: string): Promise<void>;
}

/** What a vault works with. */
export interface VaultDeps {
  /** Absolute; where relative paths of `file:` references begin. */
  readonly home: string;
  readonly secrets: SecretStore;
  readonly bindings: BindingStore;
  readonly keyring: Keyring;
  readonly sources: SecretSources;
  readonly audit: AuditLog;
}

/** The local vault of a home. Until {@link Vault.bindServices} was called it hands out nothing. */
export function createVault(deps: VaultDeps): Vault {
  const bindings = createBindings({ store: deps.bindings, keyring: deps.keyring, audit: deps.audit });
  const leases = createLeases({ read: createSecretReader(deps), audit: deps.audit });
  const writer = createSecretWriter(deps);
  let used: readonly Pairing[] = [];
  const usedBy = (name: string) => [
    ...new Set(used.filter(({ ref }) => ref === `local:${name}`).map(({ service }) => service)),
  ];
  const stillBound = async (pairing: Pairing, issued: Promise<Lease>) => {
    const lease = await issued;
    // The file may have been loaded anew while the secret was read.
    if (bindings.isBound(pairing)) return lease;
    throw notBound(pairing, bindings.held());
  };
  const dropSecret = (name: string) => leases.drop(({ ref }) => ref === `local:${name}`);

  return {
    lease(ref, { service, origin }, now) {
      const latest = leases.latest(ref, service, origin, now);
      if (latest !== undefined) return latest;
      const pairing = { ref, service, origin };
      if (!bindings.isBound(pairing)) return Promise.reject(notBound(pairing, bindings.held()));
      const lease = leases.get(pairing, now);
      return lease instanceof Promise ? stillBound(pairing, lease) : lease;
    },
    dropLeases: (match) => leases.drop(match),
    async setSecret(secret, now) {
      const stored = await writer.set(secret, now);
      dropSecret(secret.name);
      return stored;
    },
    async rotateSecret(secret, now) {
      const stored = await writer.rotate(secret, now);
      dropSecret(secret.name);
      return stored;
    },
    async removeSecret(name) {
      const removed = await writer.remove(name, usedBy(name));
      dropSecret(name);
      return removed;
    },
    listSecrets: (now) => writer.list(usedBy, now),
    async bindServices(pairings, additions, now) {
      const held = await bindings.load(pairings, additions, now);
      used = pairings;
      leases.drop((lease) => !bindings.isBound(lease));
      return held;
    },
    heldPairings: () => bindings.held(),
    confirmService: (service, by, now) => bindings.confirm(service, by, now),
    async unbindService(service) {
      await bindings.forget(service);
      used = used.filter((pairing) => pairing.service !== service);
      leases.drop((lease) => lease.service === service);
    },
  };
}

const WHY_HELD: Readonly<Record<HeldPairing["why"], string>> = {
  origin_changed: "the origin of the service changed",
  renamed: "the secret was another service's",
  unconfirmed: "the owner has not confirmed it",
  damaged: "the record of what it is bound to was edited",
};

function notBound(pairing: Pairing, held: readonly HeldPairing[]): Problem {
  const { ref, service, origin } = pairing;
  const why = held.find(
    (entry) => entry.ref === ref && entry.service === service && originsOf(entry).includes(origin),
  )?.why;
  return new Problem("secret_unavailable", {
    detail: `the owner must confirm \`${service}\` before its credential can be used`,
    remedy: `The owner can run \`doorward service confirm ${service}\`.`,
    reason: `\`${ref}\` is not bound to \`${service}\` at ${origin}: ${why === undefined ? "never loaded" : WHY_HELD[why]}`,
  });
}
