import { hash, randomFillSync } from "node:crypto";
import { crc32 } from "node:zlib";

/** `dw_`: what every key begins with, so that secret scanners and people recognise one. */
const PREFIX = "dw_";
/** The environment of an agent that has none. */
export const DEFAULT_ENVIRONMENT = "default";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 71 bits: unique without a look-up. */
const ID_LENGTH = 12;
/** 202 bits: beyond guessing, so that a fast hash at rest is enough. */
const SECRET_LENGTH = 34;
/** CRC-32 in base 62. */
const CHECKSUM_LENGTH = 6;
/** Characters; what is longer is no key, and is not even hashed. */
const KEY_LENGTH_LIMIT = 256;

const KEY = new RegExp(
  `^dw_([a-z][a-z0-9-]*)_([0-9A-Za-z]{${ID_LENGTH}})_[0-9A-Za-z]{${SECRET_LENGTH}}([0-9A-Za-z]{${CHECKSUM_LENGTH}})$`,
);

/** What a key says of itself. Not a proof: only {@link hashKey} and the list of issued keys are. */
export type ParsedApiKey =
  | { readonly ok: true; readonly id: string; readonly environment: string }
  /** `mistyped`: begins as a key does, but is cut short, too long or fails its checksum. `malformed`: no key at all. */
  | { readonly ok: false; readonly reason: "malformed" | "mistyped" };

/**
 * Makes a key: `dw_<env>_<id>_<secret><checksum>`.
 *
 * @param environment - A name; has no `_`, so that the key splits.
 * @returns The key (to be shown once), and the id by which it is listed and revoked.
 */
export function makeApiKey(environment: string): { readonly key: string; readonly id: string } {
  const id = randomBase62(ID_LENGTH);
  const body = `${PREFIX}${environment}_${id}_${randomBase62(SECRET_LENGTH)}`;
  return { key: body + checksum(body), id: keyId(id) };
}

/**
 * Reads the form of a key, so that a truncated or mistyped one is told apart from a wrong one without a look-up.
 *
 * @returns Never throws. The reason is for the audit and the command line; the wire says the same words for both.
 */
export function parseApiKey(text: string): ParsedApiKey {
  if (!looksLikeApiKey(text)) return { ok: false, reason: "malformed" };
  const [, environment, id, check] = (text.length <= KEY_LENGTH_LIMIT && KEY.exec(text)) || [];
  if (environment === undefined || id === undefined) return { ok: false, reason: "mistyped" };
  if (checksum(text.slice(0, -CHECKSUM_LENGTH)) !== check) return { ok: false, reason: "mistyped" };
  return { ok: true, id: keyId(id), environment };
}

/** Whether a text claims to be a Doorward key. */
export function looksLikeApiKey(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** SHA-256 of the whole key, in hex: what is stored and looked up instead of it. */
export function hashKey(key: string): string {
  return hash("sha256", key, "hex");
}

/** Whether a text could be a key by its length: the bound on what is hashed. */
export function isOfKeyLength(text: string): boolean {
  return text.length <= KEY_LENGTH_LIMIT;
}

function keyId(id: string): string {
  return `key_${id}`;
}

function checksum(body: string): string {
  let rest = crc32(body);
  let digits = "";
  for (let place = 0; place < CHECKSUM_LENGTH; place++) {
    digits = BASE62.charAt(rest % BASE62.length) + digits;
    rest = Math.floor(rest / BASE62.length);
  }
  return digits;
}

function randomBase62(length: number): string {
  const unbiased = 256 - (256 % BASE62.length);
  let text = "";
  while (text.length < length) {
    for (const byte of randomFillSync(new Uint8Array(length * 2))) {
      if (byte < unbiased && text.length < length) text += BASE62.charAt(byte % BASE62.length);
    }
  }
  return text;
}
