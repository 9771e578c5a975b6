import { createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { encodeParts, seal, unseal } from "./seal.ts";

/** Bytes of the home key and of every key derived from it. */
export const KEY_BYTES = 32;

/**
 * All keys of a home, each derived from its one random home key for one purpose.
 *
 * The home key lies in `vault.json`, wrapped under the key-encryption key, so that the latter can change without
 * touching a secret.
 */
export interface Keyring {
  readonly homeId: string;
  /** 32 bytes for one purpose (`audit-signing`). The same purpose gives the same key; another tells nothing about it. */
  deriveKey(purpose: string): Buffer;
  /** Encrypts bytes under the key of a purpose and binds them to `place` and to this home. */
  seal(purpose: string, place: readonly string[], bytes: Uint8Array): Buffer;
  /** @returns The bytes; `undefined` when box, purpose, place or home is another than when it was sealed. */
  unseal(purpose: string, place: readonly string[], box: Uint8Array): Buffer | undefined;
  /** HMAC-SHA-256 over the parts, injectively encoded, and this home. */
  tag(purpose: string, parts: readonly string[]): Buffer;
}

/** @param homeKey - 32 random bytes; copied, so that the caller can overwrite its own. */
export function createKeyring({ homeId, homeKey }: { readonly homeId: string; readonly homeKey: Buffer }): Keyring {
  const root = createSecretKey(homeKey);
  const keys = new Map<string, KeyObject>();
  const derive = (purpose: string) =>
    Buffer.from(hkdfSync("sha256", root, homeId, `doorward/v1/${purpose}`, KEY_BYTES));
  const keyFor = (use: "seal" | "tag", purpose: string): KeyObject => {
    const name = `${use}/${purpose}`;
    const known = keys.get(name);
    if (known !== undefined) return known;
    const bytes = derive(name);
    const key = createSecretKey(bytes);
    bytes.fill(0);
    keys.set(name, key);
    return key;
  };
  return {
    homeId,
    deriveKey: (purpose) => derive(`key/${purpose}`),
    seal: (purpose, place, bytes) => seal(keyFor("seal", purpose), [homeId, ...place], bytes),
    unseal: (purpose, place, box) => unseal(keyFor("seal", purpose), [homeId, ...place], box),
    tag: (purpose, parts) =>
      createHmac("sha256", keyFor("tag", purpose))
        .update(encodeParts([homeId, ...parts]))
        .digest(),
  };
}
