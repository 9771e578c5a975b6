import { createSecretKey, randomBytes } from "node:crypto";
import { KEY_BYTES, type Keyring } from "./keyring.ts";
import { seal, unseal } from "./seal.ts";
import type { SecretRow } from "./secret-store.ts";

/** What of a secret is not secret. */
export type SecretFacts = Omit<SecretRow, "wrapped_key" | "sealed">;

const PURPOSE = "secret-keys";

/**
 * Seals a secret under a data key of its own, and that key under the vault's.
 *
 * Both boxes name the secret and its version, and the inner one every other field of the row: a box moved to another row,
 * an expiry put off or a `short` flag set in the database (which would end the scrubbing) make the entry unusable.
 */
export function sealSecret(keyring: Keyring, facts: SecretFacts, value: Uint8Array): SecretRow {
  const dataKey = randomBytes(KEY_BYTES);
  try {
    return {
      ...facts,
      wrapped_key: keyring.seal(PURPOSE, keyPlace(facts), dataKey),
      sealed: seal(createSecretKey(dataKey), valuePlace(keyring.homeId, facts), value),
    };
  } finally {
    dataKey.fill(0);
  }
}

/** @returns The value, which the caller overwrites after use; `undefined` when anything of the row was changed. */
export function unsealSecret(keyring: Keyring, row: SecretRow): Buffer | undefined {
  const dataKey = keyring.unseal(PURPOSE, keyPlace(row), row.wrapped_key);
  if (dataKey === undefined || dataKey.length !== KEY_BYTES) return undefined;
  try {
    return unseal(createSecretKey(dataKey), valuePlace(keyring.homeId, row), row.sealed);
  } finally {
    dataKey.fill(0);
  }
}

function keyPlace({ name, version }: SecretFacts): string[] {
  return ["data-key", name, String(version)];
}

function valuePlace(homeId: string, facts: SecretFacts): string[] {
  const { name, version, short, created_at, rotated_at, expires_at } = facts;
  return ["secret", homeId, name, String(version), String(short), created_at, rotated_at ?? "-", expires_at ?? "-"];
}
