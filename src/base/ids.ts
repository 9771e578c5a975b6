import { randomFillSync } from "node:crypto";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"; // Crockford's base 32: nothing to mistype
const ID_LENGTH = 20; // 100 bits: unguessable, and unique without a look-up
/** Random letters to be taken. */
const pool = Buffer.alloc(ID_LENGTH * 256);
let used = pool.length;

/**
 * Makes an unguessable id: `req_` and 20 letters.
 *
 * @param prefix - What it names, without the underscore: `req`, `apr`, `key`.
 */
export function newId<P extends string>(prefix: P): `${P}_${string}` {
  if (used === pool.length) {
    randomFillSync(pool);
    for (let index = 0; index < pool.length; index++) pool[index] = ALPHABET.charCodeAt(pool[index]! & 31);
    used = 0;
  }
  used += ID_LENGTH;
  return `${prefix}_${pool.toString("latin1", used - ID_LENGTH, used)}`;
}
