import { randomFillSync } from "node:crypto";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"; // Crockford's base 32: nothing to mistype
const ID_LENGTH = 20; // 100 bits: unguessable, and unique without a look-up
const pool = new Uint8Array(ID_LENGTH * 256);
let used = pool.length;

/**
 * Makes an unguessable id: `req_` and 20 letters.
 *
 * @param prefix - What it names, without the underscore: `req`, `apr`, `key`.
 */
export function newId<P extends string>(prefix: P): `${P}_${string}` {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  let id = "";
  for (const end = used + ID_LENGTH; used < end; used++) id += ALPHABET[pool[used]! & 31];
  return `${prefix}_${id}`;
}
