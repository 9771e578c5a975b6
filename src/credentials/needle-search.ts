import { bytesOfSymbol, type CompiledNeedles, firstByteOf } from "./compile-needles.ts";
import type { EscapeReader } from "./escape-reader.ts";
import { CHARACTER } from "./escape-symbols.ts";
import { Spans } from "./spans.ts";

/**
 * One way to read the text up to a place: the needle beginning that it ends with, and where each symbol of it began.
 * Several live at once only where an escape has several readings that all go on like a needle.
 */
interface Thread {
  at: number;
  state: number;
  /** The last `depth[state]` entries count. */
  starts: number[];
}

const EMPTY = Buffer.alloc(0);

/**
 * Finds every needle in a text that comes in pieces, escaped or not, in one pass.
 *
 * The text is a graph: from each place, one edge for each reading of what stands there. The automaton runs along all
 * paths at once; threads that meet are merged, as of two only the one that has more of a needle behind it matters. Where
 * no needle is under way, the skip table jumps over what cannot begin one, from escape to escape.
 *
 * INVARIANT: there is always at least one thread, the first at `position`, and no needle that begins before it is missed.
 */
export class NeedleSearch {
  readonly #needles: CompiledNeedles;
  readonly #reader: EscapeReader;
  readonly #spans = new Spans();
  #threads: Thread[] = [{ at: 0, state: 0, starts: [] }];
  #text: Buffer = EMPTY;
  #base = 0;
  #end = 0;
  /** Up to here it goes byte by byte: skipping has nothing to say about it. */
  #stepTo = 0;
  /** Where each byte that may begin an escape stands next; -1 where nobody looked yet. */
  readonly #introAt: number[] = [];

  constructor(needles: CompiledNeedles) {
    this.#needles = needles;
    this.#reader = needles.reader;
  }

  /** The first place that is still to be read. */
  get position(): number {
    return this.#threads[0]!.at;
  }

  /**
   * Reads on to the end of the text, or to an escape whose end has not come yet.
   *
   * @param base - Where `text` begins in the whole; it holds everything from {@link position} on.
   */
  advance(text: Uint8Array, base: number, final: boolean): void {
    this.#text = Buffer.isBuffer(text) ? text : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
    this.#base = base;
    this.#end = base + text.length;
    this.#stepTo = 0;
    this.#reader.reset(this.#text, final);
    for (let i = 0; i < this.#reader.intros.length; i++) this.#introAt[i] = -1;
    while (this.position < this.#end) {
      if (this.#threads.length === 1 && this.#maySkip(this.#threads[0]!)) this.#skip(this.#threads[0]!);
      else if (!this.#step()) return;
    }
  }

  /**
   * Whether the skip table may judge again. It looks from where the needle under way began, so that must be plain text,
   * past the place that it stopped at last, and near: what is matched already is not to be read over and over.
   */
  #maySkip({ at, state, starts }: Thread): boolean {
    const depth = this.#needles.automaton.depth[state]!;
    const start = at - depth;
    if (start < Math.max(this.#stepTo, this.#base) || depth >= this.#needles.skips.window) return false;
    for (let back = 1; back <= depth; back++) if (starts[starts.length - back] !== at - back) return false;
    return true;
  }

  /** Before this place everything is decided. What lies in a redaction already is, whatever it may still belong to. */
  undecidedFrom(redactedTo: number): number {
    let from = this.#end;
    for (const thread of this.#threads) {
      const start = this.#startOf(thread);
      from = Math.min(from, this.#spans.endOf(Math.max(start, redactedTo)));
    }
    return from;
  }

  /** Where the text that a thread matches begins. Merged threads may have begun a later symbol at an earlier place. */
  #startOf({ at, state, starts }: Thread): number {
    let start = at;
    for (let i = starts.length - this.#needles.automaton.depth[state]!; i < starts.length; i++) {
      if (starts[i]! < start) start = starts[i]!;
    }
    return start;
  }

  /** Whether any needle was found that was not taken yet. */
  get hasFound(): boolean {
    return !this.#spans.isEmpty;
  }

  /** The needles found that begin before `limit`: disjoint, in order. They are not given again. */
  takeFound(limit: number): (readonly [number, number])[] {
    return this.#spans.takeBefore(limit);
  }

  /** Moves to the next place where a needle may begin, or that has to be looked at byte by byte. */
  #skip(thread: Thread): void {
    const { skips, automaton } = this.#needles;
    let at = thread.at - automaton.depth[thread.state]! - this.#base;
    thread.state = 0;
    thread.starts.length = 0;
    for (;;) {
      const from = at;
      const intro = this.#nextIntro(at);
      at = skips.scan(this.#text, at, intro);
      const candidate = at + skips.window <= intro;
      if (candidate || intro === this.#text.length || this.#matters(intro, from)) {
        if (!candidate) at = skips.begin(this.#text, at, intro);
        thread.at = this.#base + at;
        this.#stepTo = this.#base + (candidate ? at + 1 : Math.min(intro + 1, this.#text.length));
        return;
      }
      at = intro + 1;
    }
  }

  /** The next byte that may begin an escape, or the end. */
  #nextIntro(at: number): number {
    const { intros } = this.#reader;
    let nearest = this.#text.length;
    for (let i = 0; i < intros.length; i++) {
      let next = this.#introAt[i]!;
      if (next < at) {
        const found = this.#text.indexOf(intros[i]!, at);
        next = found === -1 ? this.#text.length : found;
        this.#introAt[i] = next;
      }
      if (next < nearest) nearest = next;
    }
    return nearest;
  }

  /** Whether a needle may pass through the escape at this place, that has plain text before it from `from` on. */
  #matters(at: number, from: number): boolean {
    const reader = this.#reader;
    if (reader.glance(at)) {
      if (this.#needles.alphabet[this.#text[at]!] === 1) return true;
      return reader.glanced >= 0 && this.#fits(reader.glanced, reader.glancedEnd, at, from);
    }
    const readings = reader.read(at);
    if (readings === undefined) return true;
    for (let i = 0; i < readings.length; i += 2) {
      if (this.#fits(readings[i + 1]!, readings[i]!, at, from)) return true;
    }
    return false;
  }

  /**
   * Whether some needle has a symbol that stands at `[at, end)`, judged by its neighbours. A needle that passes through
   * has two symbols before this one, which are plain text, or two after it, as none is shorter than five.
   */
  #fits(symbol: number, end: number, at: number, from: number): boolean {
    const { alphabet, trigrams } = this.#needles;
    if (alphabet[firstByteOf(symbol)] === 0) return false;
    if (symbol >= CHARACTER) return true;
    const text = this.#text;
    if (at - 2 >= from && trigrams.has(text[at - 2]!, text[at - 1]!, symbol)) return true;
    if (end + 1 >= text.length || this.#reader.isIntro(text[end]!) || this.#reader.isIntro(text[end + 1]!)) return true;
    return trigrams.has(symbol, text[end]!, text[end + 1]!);
  }

  /** Takes the threads at the first place one symbol further. @returns `false` when more text is needed for that. */
  #step(): boolean {
    const { at } = this.#threads[0]!;
    const byte = this.#text[at - this.#base]!;
    if (!this.#reader.isIntro(byte)) {
      this.#stepPlain(at, byte);
      return true;
    }
    const readings = this.#reader.read(at - this.#base);
    if (readings === undefined) return false;
    for (const thread of this.#takeThreadsAt(at)) {
      for (let i = readings.length - 2; i > 0; i -= 2)
        this.#follow(thread, readings[i]! + this.#base, readings[i + 1]!);
      this.#goOn(thread, at, byte);
    }
    return true;
  }

  #stepPlain(at: number, byte: number): void {
    const only = this.#threads[0]!;
    if (this.#threads.length === 1) {
      this.#extend(only, at, byte);
      only.at = at + 1;
      this.#note(only);
      return;
    }
    for (const thread of this.#takeThreadsAt(at)) this.#goOn(thread, at, byte);
  }

  /** Takes a thread over a byte that stands for itself. */
  #goOn(thread: Thread, at: number, byte: number): void {
    this.#extend(thread, at, byte);
    thread.at = at + 1;
    this.#note(thread);
    this.#add(thread);
  }

  #takeThreadsAt(at: number): Thread[] {
    const others = this.#threads.findIndex((thread) => thread.at !== at);
    return this.#threads.splice(0, others === -1 ? this.#threads.length : others);
  }

  /** Makes the thread that reads an escape. One that has nothing of a needle behind it is no different from the others. */
  #follow(from: Thread, end: number, symbol: number): void {
    const { step, depth } = this.#needles.automaton;
    const bytes = bytesOfSymbol(symbol);
    const state = bytes.reduce(step, from.state);
    const kept = depth[state]! - bytes.length;
    if (state === 0) return;
    const starts = kept > 0 ? from.starts.slice(-kept) : [];
    for (let i = Math.min(bytes.length, depth[state]!); i > 0; i--) starts.push(from.at);
    const thread: Thread = { at: end, state, starts };
    this.#note(thread);
    this.#add(thread);
  }

  #extend(thread: Thread, at: number, byte: number): void {
    const { step, depth } = this.#needles.automaton;
    thread.state = step(thread.state, byte);
    const length = depth[thread.state]!;
    if (length === 0) thread.starts.length = 0;
    else thread.starts.push(at);
    if (thread.starts.length > 2 * length + 64) thread.starts = thread.starts.slice(-length);
  }

  #note(thread: Thread): void {
    const length = this.#needles.automaton.found[thread.state]!;
    if (length !== 0) this.#spans.add(thread.starts[thread.starts.length - length]!, thread.at);
  }

  /** Puts a thread in its place, merged with those there that say the same. */
  #add(thread: Thread): void {
    let index = this.#threads.length;
    while (index > 0 && this.#threads[index - 1]!.at > thread.at) index--;
    for (let i = index - 1; i >= 0 && this.#threads[i]!.at === thread.at; i--) {
      const other = this.#threads[i]!;
      if (this.#endsWith(other, thread)) {
        this.#merge(other, thread);
        return;
      }
      if (this.#endsWith(thread, other)) {
        this.#merge(thread, other);
        this.#threads.splice(i, 1);
        index--;
      }
    }
    this.#threads.splice(index, 0, thread);
  }

  /** Whether what the first has of a needle ends with all that the second has. */
  #endsWith(first: Thread, second: Thread): boolean {
    const { depth, fail } = this.#needles.automaton;
    let state = first.state;
    while (depth[state]! > depth[second.state]!) state = fail[state]!;
    return state === second.state;
  }

  /** Of two ways to the same symbols, the one that began earlier counts: all of it is to be taken out. */
  #merge(into: Thread, from: Thread): void {
    for (let back = this.#needles.automaton.depth[from.state]!; back > 0; back--) {
      const index = into.starts.length - back;
      into.starts[index] = Math.min(into.starts[index]!, from.starts[from.starts.length - back]!);
    }
  }
}
