/**
 * Bytes that count as one when a secret is looked for: the hex digits `A`–`F` in either case, and the two characters in
 * which base64 and base64url differ. So one needle stands for all spellings, at the price that a text which differs from
 * the secret in nothing else is taken out as well.
 */
export const FOLD: Uint8Array = foldTable();

/** The needle or text as it is compared. */
export function fold(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => FOLD[byte]!);
}

function foldTable(): Uint8Array {
  const table = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  for (let letter = 0x41; letter <= 0x46; letter++) table[letter] = letter + 0x20;
  table[0x2d] = 0x2b;
  table[0x5f] = 0x2f;
  return table;
}
