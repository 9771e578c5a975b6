import type { Needle } from "./needles-of.ts";
import { hash, hashOf } from "./skip-table.ts";

/** Three bytes in a row that stand anywhere in some needle; now and then others, never one too few. */
export interface TrigramTable {
  has(one: number, two: number, three: number): boolean;
}

const MIN_BUCKETS = 1 << 12;

const MAX_BUCKETS = 1 << 18;

export function buildTrigramTable(needles: readonly Needle[]): TrigramTable {
  const count = needles.reduce((sum, { core, heads, tails }) => sum + core.length + heads.length + tails.length, 0);
  const buckets = Math.min(MAX_BUCKETS, Math.max(MIN_BUCKETS, 2 ** Math.ceil(Math.log2(count * 8))));
  const table = new Uint8Array(buckets);
  const mask = buckets - 1;
  for (const { core, heads, tails } of needles) {
    for (let i = 0; i + 2 < core.length; i++) table[hash(core, i) & mask] = 1;
    for (const head of heads) table[hashOf(head, core[0]!, core[1]!) & mask] = 1;
    for (const tail of tails) table[hashOf(core.at(-2)!, core.at(-1)!, tail) & mask] = 1;
  }
  return { has: (one, two, three) => table[hashOf(one, two, three) & mask] === 1 };
}
