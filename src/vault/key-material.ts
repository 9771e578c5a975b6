import { hkdfSync } from "node:crypto";

const KEY_BYTES = 32;

/** Enough for any key file, little enough to read whole. */
export const MAX_KEY_MATERIAL_BYTES = 64 * 1024;

/**
 * Reads a key-encryption key from what a file, variable or command holds.
 *
 * Exactly 32 bytes, or 32 bytes in hex or base64, are the key; anything longer is hashed into one (HKDF), so it must
 * itself be random: a passphrase belongs to `--kek passphrase`, which stretches it.
 *
 * @returns 32 bytes; `undefined` for fewer than 32 bytes or more than 64 KiB.
 */
export function keyFromMaterial(material: Uint8Array): Buffer | undefined {
  if (material.length > MAX_KEY_MATERIAL_BYTES) return undefined;
  if (material.length === KEY_BYTES) return Buffer.from(material);
  const text = Buffer.from(material)
    .toString("latin1")
    .replace(/\r?\n$/, "");
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, "hex");
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return Buffer.from(text, "base64");
  if (text.length < KEY_BYTES) return undefined;
  return Buffer.from(hkdfSync("sha256", Buffer.from(text, "latin1"), "", "doorward/v1/kek-material", KEY_BYTES));
}
