import { FOLD } from "./fold.ts";
import type { Needle } from "./needles-of.ts";

/**
 * Where no needle can begin, seen from three bytes (Wu and Manber 1994): most of a text is never looked at.
 *
 * A window as long as the shortest needle lies over the text; if its last three bytes stand nowhere in the first
 * `window` bytes of any needle, no needle begins in it before its last two bytes.
 */
export interface SkipTable {
  /** Bytes of the window: no needle is shorter. */
  readonly window: number;
  /**
   * Looks for a place in `[from, to)` where a needle may begin. Literal text only: the caller keeps escapes out of it.
   *
   * @returns A candidate, with its whole window before `to`; or a place whose window reaches past `to`, and then no needle
   *   begins before it that ends before `to`.
   */
  scan(bytes: Uint8Array, from: number, to: number): number;
  /** The first place from `from` on where a needle may begin, by its first three bytes; `to - 2` when it is none. */
  begin(bytes: Uint8Array, from: number, to: number): number;
}

/** A longer window skips further, but has more trigrams to stop at. */
const MAX_WINDOW = 20;

const MAX_BUCKETS = 1 << 18;

/** Three tables whose sum by exclusive or is the hash of three bytes, equal for bytes that fold to the same. */
const [ONE, TWO, THREE] = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35].map((seed) =>
  Int32Array.from({ length: 256 }, (_, byte) => mix(Math.imul(FOLD[byte]! + 1, seed)) & (MAX_BUCKETS - 1)),
) as [Int32Array, Int32Array, Int32Array];

/** Hash of the three bytes at a place, the same for all that fold to the same. Mask it to the size of a table. */
export function hash(bytes: Uint8Array, at: number): number {
  return hashOf(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!);
}

/** The same of three bytes that do not stand side by side. */
export function hashOf(one: number, two: number, three: number): number {
  return ONE[one]! ^ TWO[two]! ^ THREE[three]!;
}

export function buildSkipTable(needles: readonly Needle[]): SkipTable {
  const window = needles.reduce((least, { core }) => Math.min(least, core.length), MAX_WINDOW);
  const beginnings = distinctBeginnings(needles, window);
  const { shift, first, mask } = fill(beginnings, window);

  const scan = (bytes: Uint8Array, from: number, to: number): number => {
    let end = from + window - 1;
    while (end < to) {
      const far = shift[hash(bytes, end - 2) & mask]!;
      if (far !== 0) {
        end += far;
        continue;
      }
      const start = end - window + 1;
      if (first[hash(bytes, start) & mask] === 1) return start;
      end++;
    }
    return end - window + 1;
  };
  const begin = (bytes: Uint8Array, from: number, to: number): number => {
    let start = from;
    while (start + 2 < to && first[hash(bytes, start) & mask] === 0) start++;
    return start;
  };
  return { window, scan, begin };
}

/** The first `window` bytes of every needle, heads included, each once. */
function distinctBeginnings(needles: readonly Needle[], window: number): Uint8Array[] {
  const seen = new Map<string, Uint8Array>();
  for (const { core, heads } of needles) {
    const begin = core.subarray(0, window);
    const all = [begin, ...heads.map((head) => Uint8Array.of(head, ...begin.subarray(0, window - 1)))];
    for (const bytes of all) seen.set(Buffer.from(bytes).toString("latin1"), bytes);
  }
  return [...seen.values()];
}

function fill(beginnings: readonly Uint8Array[], window: number) {
  const trigrams = beginnings.length * (window - 2);
  const buckets = Math.min(MAX_BUCKETS, 2 ** Math.ceil(Math.log2(Math.max(512, trigrams) * 8)));
  const mask = buckets - 1;
  const shift = new Uint8Array(buckets).fill(window - 2);
  const first = new Uint8Array(buckets);
  for (const bytes of beginnings) {
    for (let i = 0; i + 2 < window; i++) {
      const bucket = hash(bytes, i) & mask;
      shift[bucket] = Math.min(shift[bucket]!, window - 3 - i);
      if (i === 0) first[bucket] = 1;
    }
  }
  return { shift, first, mask };
}

function mix(value: number): number {
  const once = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  const twice = Math.imul(once ^ (once >>> 12), 0x297a2d39);
  return twice ^ (twice >>> 15);
}
