import { EscapeReader } from "./escape-reader.ts";
import { CHARACTER } from "./escape-symbols.ts";
import { FOLD, fold } from "./fold.ts";
import { buildAutomaton, type NeedleAutomaton } from "./needle-automaton.ts";
import { type Needle, needlesOf } from "./needles-of.ts";
import { buildSkipTable, type SkipTable } from "./skip-table.ts";
import { buildTrigramTable, type TrigramTable } from "./trigram-table.ts";

/** What a scrubber looks for, made once and shared by its streams. */
export interface CompiledNeedles {
  readonly automaton: NeedleAutomaton;
  readonly skips: SkipTable;
  readonly trigrams: TrigramTable;
  /** 1 for each byte that stands in some needle, before folding. */
  readonly alphabet: Uint8Array;
  /** Shared by all streams, as each uses it within one call only. */
  readonly reader: EscapeReader;
  /** What stands in the answer instead of a secret. */
  readonly marker: Uint8Array;
}

/** @param secrets - Each of a length that can be looked for. */
export function compileNeedles(secrets: readonly string[]): CompiledNeedles {
  const needles = secrets.flatMap(needlesOf);
  const alphabet = alphabetOf(needles);
  return {
    automaton: buildAutomaton(needles),
    skips: buildSkipTable(needles),
    trigrams: buildTrigramTable(needles),
    alphabet,
    reader: new EscapeReader({ spaces: alphabet[0x20] === 1 }),
    marker: markerFor(needles),
  };
}

/** The bytes that a symbol of an escape stands for. */
export function bytesOfSymbol(symbol: number): readonly number[] {
  return symbol < CHARACTER ? [symbol] : [...Buffer.from(String.fromCodePoint(symbol - CHARACTER), "utf8")];
}

/** The first of them. */
export function firstByteOf(symbol: number): number {
  if (symbol < CHARACTER) return symbol;
  const point = symbol - CHARACTER;
  if (point < 0x800) return 0xc0 | (point >> 6);
  return point < 0x10000 ? 0xe0 | (point >> 12) : 0xf0 | (point >> 18);
}

function alphabetOf(needles: readonly Needle[]): Uint8Array {
  const folded = new Uint8Array(256);
  for (const { core, heads, tails } of needles) {
    for (const part of [core, heads, tails]) for (const byte of part) folded[FOLD[byte]!] = 1;
  }
  return folded.map((_, byte) => folded[FOLD[byte]!]!);
}

/** The first is what everybody sees; the others are for secrets that begin or end like it, which it would bring back. */
const MARKERS = [
  "[redacted]",
  "<redacted>",
  "(redacted)",
  "{redacted}",
  "|redacted|",
  "*redacted*",
  "~redacted~",
  "^~^",
];

function markerFor(needles: readonly Needle[]): Uint8Array {
  const cores = needles.map(({ core }) => Buffer.from(fold(core)));
  const fitting = MARKERS.find(
    (marker) => !cores.some((core) => touches(core, Buffer.from(fold(Buffer.from(marker))))),
  );
  return Buffer.from(fitting ?? "");
}

/** Whether a needle could appear anew around or within the marker that replaces another. */
function touches(core: Buffer, marker: Buffer): boolean {
  if (core.includes(marker) || marker.includes(core)) return true;
  for (let shared = 1; shared < Math.min(core.length, marker.length); shared++) {
    if (core.subarray(0, shared).equals(marker.subarray(marker.length - shared))) return true;
    if (core.subarray(core.length - shared).equals(marker.subarray(0, shared))) return true;
  }
  return false;
}
