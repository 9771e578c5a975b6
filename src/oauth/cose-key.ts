import { createPublicKey, type JsonWebKey, type KeyObject, verify } from "node:crypto";
import type { Cbor } from "./cbor.ts";

/** ES256, EdDSA and RS256, as COSE numbers them. */
export const PASSKEY_ALGORITHMS = [-7, -8, -257] as const;

export type PasskeyAlgorithm = (typeof PASSKEY_ALGORITHMS)[number];

/** Bytes of an RSA modulus. */
const RSA_LEAST = 256;
const RSA_MOST = 1_024;

/**
 * Reads the public key that an authenticator made.
 *
 * @returns `undefined` for another algorithm, a key of another kind than its algorithm says, a weak one, or no key at all.
 * @see RFC 9053 §2, §7; RFC 8812
 */
export function readCoseKey(
  value: Cbor,
): { readonly algorithm: PasskeyAlgorithm; readonly key: KeyObject } | undefined {
  if (!(value instanceof Map)) return undefined;
  const map = value as ReadonlyMap<number | string, Cbor>;
  const algorithm = PASSKEY_ALGORITHMS.find((one) => one === map.get(3));
  const jwk = algorithm === undefined ? undefined : jwkOf(algorithm, map);
  if (algorithm === undefined || jwk === undefined) return undefined;
  try {
    return { algorithm, key: createPublicKey({ format: "jwk", key: jwk }) };
  } catch (error) {
    // Not a point of the curve.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

/** Whether a signature is of this key. Never throws. */
export function isSignedBy(
  { algorithm, key }: { readonly algorithm: number; readonly key: KeyObject },
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    return verify(algorithm === -8 ? null : "sha256", bytes, key, signature);
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

function jwkOf(algorithm: PasskeyAlgorithm, map: ReadonlyMap<number | string, Cbor>): JsonWebKey | undefined {
  const kind = map.get(1);
  const bytes = (label: number, least: number, most = least): string | undefined => {
    const part = map.get(label);
    if (!(part instanceof Uint8Array) || part.length < least || part.length > most) return undefined;
    return Buffer.from(part).toString("base64url");
  };
  if (algorithm === -7) {
    const [x, y] = [bytes(-2, 32), bytes(-3, 32)];
    return kind === 2 && map.get(-1) === 1 && x !== undefined && y !== undefined
      ? { kty: "EC", crv: "P-256", x, y }
      : undefined;
  }
  if (algorithm === -8) {
    const x = bytes(-2, 32);
    return kind === 1 && map.get(-1) === 6 && x !== undefined ? { kty: "OKP", crv: "Ed25519", x } : undefined;
  }
  const [n, e] = [bytes(-1, RSA_LEAST, RSA_MOST), bytes(-2, 3)];
  return kind === 3 && n !== undefined && e === "AQAB" ? { kty: "RSA", n, e } : undefined;
}
