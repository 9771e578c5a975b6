import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from "node:crypto";

/** The only form there is: version byte, nonce, tag, ciphertext; AES-256-GCM. Another form gets another first byte. */
const FORM = 1;
const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES;

/**
 * Encrypts bytes for storage and binds them to their place.
 *
 * The nonce is random: one key may seal 2^32 values before a repetition becomes likely enough to care (NIST SP 800-38D §8.3).
 *
 * @param place - What the bytes are and where they belong. {@link unseal} must be given the same.
 */
export function seal(key: KeyObject, place: readonly string[], bytes: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(encodeParts(place));
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return Buffer.concat([Buffer.of(FORM), nonce, cipher.getAuthTag(), sealed]);
}

/**
 * Opens what {@link seal} made.
 *
 * @returns The bytes, which the caller overwrites after use; `undefined` when one bit differs, in the box or in its place.
 */
export function unseal(key: KeyObject, place: readonly string[], box: Uint8Array): Buffer | undefined {
  if (box.length < HEAD_BYTES || box[0] !== FORM) return undefined;
  const decipher = createDecipheriv(CIPHER, key, box.subarray(1, 1 + NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(encodeParts(place));
  decipher.setAuthTag(box.subarray(1 + NONCE_BYTES, HEAD_BYTES));
  const opened = decipher.update(box.subarray(HEAD_BYTES));
  try {
    return Buffer.concat([opened, decipher.final()]);
  } catch {
    return undefined;
  } finally {
    opened.fill(0);
  }
}

/** Writes a list of texts so that no two lists have the same bytes: each text after its length. */
export function encodeParts(parts: readonly string[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part, "utf8");
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}
