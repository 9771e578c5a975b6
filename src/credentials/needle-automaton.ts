import { FOLD } from "./fold.ts";
import type { Needle } from "./needles-of.ts";

/**
 * The needles as an Aho-Corasick automaton over folded bytes: state 0 is the start, and being in a state means that its
 * path is the longest beginning of a needle that the text so far ends with.
 *
 * Most states have one child, made right after them, so a child is looked for at `state + 1` first; the others stand in
 * one map. That keeps a state at some twenty bytes, however many needles there are.
 */
export interface NeedleAutomaton {
  /** @param byte - Not folded. */
  step(state: number, byte: number): number;
  /** Symbols of a needle that are matched in this state. */
  readonly depth: Int32Array;
  /** The state of the longest proper ending that begins a needle. */
  readonly fail: Int32Array;
  /** Length of the longest needle that ends here; 0 for none. */
  readonly found: Int32Array;
}

/** Builds it. Cost is linear in the total length of the needles. */
export function buildAutomaton(needles: readonly Needle[]): NeedleAutomaton {
  const trie = new Trie(needles.reduce((sum, needle) => sum + statesOf(needle), 1));
  for (const { core, heads, tails } of needles) {
    for (const start of [0, ...heads.map((head) => trie.child(0, head))]) {
      const end = core.reduce((state, byte) => trie.child(state, byte), start);
      trie.ends[end] = 1;
      for (const tail of tails) trie.ends[trie.child(end, tail)] = 1;
    }
  }
  return link(trie);
}

function statesOf({ core, heads, tails }: Needle): number {
  return (heads.length + 1) * (core.length + tails.length + 1);
}

class Trie {
  size = 1;
  readonly label: Uint8Array;
  readonly parent: Int32Array;
  readonly ends: Uint8Array;
  /** `state * 256 + byte` → the children that do not follow their parent. */
  readonly others = new Map<number, number>();
  /** 1 for a state that has such. */
  readonly branches: Uint8Array;
  readonly root = new Int32Array(256);

  constructor(capacity: number) {
    this.label = new Uint8Array(capacity + 1);
    this.parent = new Int32Array(capacity + 1).fill(-1);
    this.ends = new Uint8Array(capacity + 1);
    this.branches = new Uint8Array(capacity + 1);
  }

  /** The child, made if need be. */
  child(state: number, byte: number): number {
    const folded = FOLD[byte]!;
    const known = this.find(state, folded);
    if (known !== 0) return known;
    const made = this.size++;
    this.label[made] = folded;
    this.parent[made] = state;
    if (state === 0) this.root[folded] = made;
    else if (made !== state + 1) {
      this.others.set(state * 256 + folded, made);
      this.branches[state] = 1;
    }
    return made;
  }

  /** @returns 0 for none. */
  find(state: number, folded: number): number {
    if (state === 0) return this.root[folded]!;
    const next = state + 1;
    if (this.label[next] === folded && this.parent[next] === state) return next;
    return this.branches[state] === 0 ? 0 : (this.others.get(state * 256 + folded) ?? 0);
  }
}

/** Computes where each state falls back to. A child has a higher number than its parent, so depths come in one pass. */
function link(trie: Trie): NeedleAutomaton {
  const { size, label, parent, ends } = trie;
  const depth = new Int32Array(size);
  for (let state = 1; state < size; state++) depth[state] = depth[parent[state]!]! + 1;

  const fail = new Int32Array(size);
  const found = new Int32Array(size);
  const step = (state: number, byte: number): number => {
    const folded = FOLD[byte]!;
    for (let at = state; ; at = fail[at]!) {
      const next = trie.find(at, folded);
      if (next !== 0 || at === 0) return next;
    }
  };
  for (const state of byDepth(depth)) {
    const above = parent[state]!;
    fail[state] = above === 0 ? 0 : step(fail[above]!, label[state]!);
    found[state] = ends[state] === 1 ? depth[state]! : found[fail[state]!]!;
  }
  return { step, depth, fail, found };
}

/** All states but the start, the shallow ones first: a counting sort. */
function byDepth(depth: Int32Array): Int32Array {
  const deepest = depth.reduce((most, value) => Math.max(most, value), 0);
  const place = new Int32Array(deepest + 2);
  for (const value of depth) place[value + 1]!++;
  for (let i = 1; i < place.length; i++) place[i]! += place[i - 1]!;
  const order = new Int32Array(depth.length);
  for (let state = 0; state < depth.length; state++) order[place[depth[state]!]!++] = state;
  return order.subarray(1);
}
