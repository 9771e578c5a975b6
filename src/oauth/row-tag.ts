import { timingSafeEqual } from "node:crypto";
import type { Keyring } from "../vault/keyring.ts";

type Cell = string | number | null;

/** What authenticates a row: its cells under a key of the home. No two rows have the same text. */
export function tagOf(
  keyring: Pick<Keyring, "tag">,
  purpose: string,
  row: { readonly [column: string]: Cell },
): Buffer {
  const cells = Object.keys(row)
    .sort()
    .map((column) => [column, row[column] ?? null]);
  return keyring.tag(purpose, [JSON.stringify(cells)]);
}

/** Whether a row that was read is one that we wrote. @param row - As it was read, its tag too. */
export function isTagged(
  keyring: Pick<Keyring, "tag">,
  purpose: string,
  row: { readonly [column: string]: Cell | Uint8Array; readonly tag: Uint8Array },
): boolean {
  const cells = Object.entries(row).filter((entry): entry is [string, Cell] => entry[0] !== "tag");
  const right = tagOf(keyring, purpose, Object.fromEntries(cells));
  return row.tag.length === right.length && timingSafeEqual(row.tag, right);
}
