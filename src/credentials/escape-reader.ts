import {
  AMPERSAND,
  BACKSLASH,
  CHARACTER,
  CLOSE_BRACE,
  digitOf,
  FOLLOWS,
  HASH,
  isScalar,
  LOWER_U,
  LOWER_X,
  NAMES,
  type NameNode,
  OPEN_BRACE,
  PERCENT,
  PLUS,
  SEMICOLON,
  SIMPLE,
  SPACE,
  tableOf,
  UPPER_U,
  UPPER_X,
} from "./escape-symbols.ts";

/**
 * Reads what a text may mean at one place, when any part of it may be escaped: percent-encoding, JSON and JavaScript
 * strings, HTML, and each within each other up to {@link MAX_ESCAPE_DEPTH} deep.
 *
 * A reading is one symbol and the place after it. There may be several, as nobody says how a text is to be read: `%41`
 * is a percent sign, or the letter A. All are given, which is what makes the scrubber safe against a neighbour of the
 * secret that swallows its first bytes, and against a secret that looks like an escape itself.
 */
export class EscapeReader {
  /** The bytes that may begin an escape. */
  readonly intros: readonly number[];
  readonly #intro: Uint8Array;
  readonly #spaces: boolean;
  /** Per depth, by the low bits of the place: what was read there last. */
  readonly #memo: Memo[][] = Array.from({ length: MAX_ESCAPE_DEPTH + 1 }, () => []);
  #bytes: Uint8Array = new Uint8Array(0);
  #final = false;
  #starved = false;
  /** Counts the texts: what was remembered of another does not hold. */
  #run = 0;
  /** The symbol that the last glance saw; below 0 for none. */
  glanced = -1;
  glancedEnd = 0;

  /** @param options - `spaces`: a `+` may be a space, as in a form. */
  constructor(options: { readonly spaces: boolean }) {
    this.#spaces = options.spaces;
    this.intros = [PERCENT, BACKSLASH, AMPERSAND, ...(options.spaces ? [PLUS] : [])];
    this.#intro = tableOf(this.intros);
  }

  /** Gives it the text that is there; `final` when nothing follows. */
  reset(bytes: Uint8Array, final: boolean): void {
    this.#bytes = bytes;
    this.#final = final;
    this.#run++;
  }

  /** Whether a place that holds this byte may have more readings than the byte itself. */
  isIntro(byte: number): boolean {
    return this.#intro[byte] === 1;
  }

  /**
   * All readings at a place, flat: end, symbol, end, symbol… A symbol is a byte, or {@link CHARACTER} plus a code point.
   *
   * @returns `undefined` when the text ends before it is known what stands there.
   */
  read(at: number): readonly number[] | undefined {
    this.#starved = false;
    const readings = this.#readAt(at, MAX_ESCAPE_DEPTH);
    return this.#starved ? undefined : readings;
  }

  /**
   * Reads what is no escape after all, or a plain one that does not lead to another: most of what there is.
   *
   * @returns Whether {@link glanced} is all that stands there besides the byte itself; otherwise it takes `read` to tell.
   */
  glance(at: number): boolean {
    const bytes = this.#bytes;
    const next = bytes[at + 1];
    this.glanced = -1;
    if (next === undefined) return false;
    switch (bytes[at]) {
      case PERCENT:
        return this.#glancePercent(at, next);
      case BACKSLASH:
        return this.#glanceBackslash(at, next);
      case AMPERSAND:
        return this.#glanceEntity(at, next);
      default:
        return this.#glanced(at + 1, SPACE);
    }
  }

  #glanced(end: number, symbol: number): boolean {
    this.glanced = symbol;
    this.glancedEnd = end;
    return symbol >= CHARACTER || (symbol < 0x80 && !this.#leadsOn(symbol, end));
  }

  /** Whether a symbol may begin another escape with what stands after it. */
  #leadsOn(symbol: number, end: number): boolean {
    if (this.#intro[symbol] === 0) return false;
    const next = this.#bytes[end];
    return next === undefined || this.#intro[next] === 1 || symbol === PLUS || FOLLOWS.get(symbol)![next] === 1;
  }

  #glancePercent(at: number, next: number): boolean {
    const high = digitOf(next);
    if (high > 15) return next !== LOWER_U && this.#intro[next] === 0;
    const last = this.#bytes[at + 2];
    if (last === undefined) return false;
    const low = digitOf(last);
    if (low > 15) return this.#intro[last] === 0;
    const value = high * 16 + low;
    this.#glanced(at + 3, value);
    return !this.#leadsOn(value, at + 3);
  }

  #glanceBackslash(at: number, next: number): boolean {
    if (this.#intro[next] === 1 || next === LOWER_X || next === UPPER_U) return false;
    if (next !== LOWER_U) {
      const simple = SIMPLE[next]!;
      return simple === 0 || this.#glanced(at + 2, simple);
    }
    let unit = 0;
    for (let i = at + 2; i < at + 6; i++) {
      const digit = digitOf(this.#bytes[i] ?? 0);
      if (digit > 15) return false;
      unit = unit * 16 + digit;
    }
    return isScalar(unit) && this.#glanced(at + 6, unit < 0x100 ? unit : CHARACTER + unit);
  }

  #glanceEntity(at: number, next: number): boolean {
    if (next === HASH) return this.#glanceNumber(at + 2);
    let node = NAMES;
    for (let i = at + 1; ; i++) {
      const byte = this.#bytes[i];
      if (byte === undefined || this.#intro[byte] === 1) return false;
      if (byte === SEMICOLON && node.value !== undefined) return this.#glanced(i + 1, node.value);
      const below = node.next.get(byte);
      if (below === undefined) return true;
      node = below;
    }
  }

  #glanceNumber(from: number): boolean {
    const hex = this.#bytes[from] === LOWER_X || this.#bytes[from] === UPPER_X;
    const [first, base] = hex ? [from + 1, 16] : [from, 10];
    let point = 0;
    for (let i = first; i <= first + MAX_ENTITY_DIGITS; i++) {
      const byte = this.#bytes[i];
      if (byte === undefined || this.#intro[byte] === 1) return false;
      if (byte === SEMICOLON && i > first)
        return !isScalar(point) || this.#glanced(i + 1, point < 0x100 ? point : CHARACTER + point);
      const digit = digitOf(byte);
      if (digit >= base) return true;
      point = point * base + digit;
    }
    return true;
  }

  #readAt(at: number, depth: number): readonly number[] {
    const byte = this.#bytes[at];
    if (byte === undefined) {
      if (!this.#final) this.#starved = true;
      return NOTHING;
    }
    if (depth === 0 || this.#intro[byte] === 0) return [at + 1, byte];
    const known = this.#memo[depth]![at % MEMOS];
    const memo = known?.at === at && known.run === this.#run ? known : this.#remember(at, depth);
    if (memo.starved) this.#starved = true;
    return memo.readings;
  }

  #remember(at: number, depth: number): Memo {
    const before = this.#starved;
    this.#starved = false;
    const memo = { at, run: this.#run, readings: this.#allReadings(at, depth), starved: this.#starved };
    this.#starved = before;
    this.#memo[depth]![at % MEMOS] = memo;
    return memo;
  }

  #allReadings(at: number, depth: number): readonly number[] {
    if (this.glance(at)) {
      const byte = this.#bytes[at]!;
      return this.glanced < 0 ? [at + 1, byte] : [at + 1, byte, this.glancedEnd, this.glanced];
    }
    if (this.#bytes[at] === BACKSLASH && this.#isBackslashRun(at, 2 ** depth)) return backslashes(at, 2 ** depth);
    if (!this.#goesOn(at, depth)) return [at + 1, this.#bytes[at]!];
    const found = new Readings(at);
    const shallower = this.#readAt(at, depth - 1);
    for (let i = 0; i < shallower.length; i += 2) {
      const [end, symbol] = [shallower[i]!, shallower[i + 1]!];
      found.add(end, symbol);
      if (symbol === PERCENT) this.#readPercent(end, depth - 1, found);
      else if (symbol === BACKSLASH) this.#readBackslash(end, depth - 1, found);
      else if (symbol === AMPERSAND) this.#readEntity(end, depth - 1, found);
      else if (symbol === PLUS && this.#spaces) found.add(end, SPACE);
    }
    return found.list;
  }

  #isBackslashRun(at: number, length: number): boolean {
    for (let i = at; i < at + length; i++) if (this.#bytes[i] !== BACKSLASH) return false;
    return true;
  }

  /** Whether any reading of what comes next may be the second symbol of an escape. */
  #goesOn(at: number, depth: number): boolean {
    const follows = FOLLOWS.get(this.#bytes[at]!);
    if (follows === undefined) return true;
    const next = this.#readAt(at + 1, depth - 1);
    for (let i = 1; i < next.length; i += 2) if (follows[next[i]!] === 1) return true;
    return false;
  }

  /** `%41`, and `%u0041` as JavaScript's `escape` writes it. */
  #readPercent(at: number, depth: number, found: Readings): void {
    this.#digits(at, depth, HEX_2, (end, value) => found.add(end, value));
    this.#each(at, depth, (end, symbol) => {
      if (symbol === LOWER_U) this.#digits(end, depth, HEX_4, (last, unit) => found.addPoint(last, unit));
    });
  }

  /** `\n`, `\"`, `\/`, `\u0041` and its pairs, `\x41`, `\u{41}`, `\U00000041`. */
  #readBackslash(at: number, depth: number, found: Readings): void {
    this.#each(at, depth, (end, symbol) => {
      const simple = symbol < 0x80 ? SIMPLE[symbol]! : 0;
      if (simple !== 0) found.add(end, simple);
      if (symbol === LOWER_X) this.#digits(end, depth, HEX_2, (last, value) => found.add(last, value));
      if (symbol === UPPER_U) this.#digits(end, depth, HEX_8, (last, point) => found.addPoint(last, point));
      if (symbol === LOWER_U) this.#readUnit(end, depth, found);
    });
  }

  #readUnit(at: number, depth: number, found: Readings): void {
    this.#digits(at, depth, HEX_4, (end, unit) => {
      if (unit >= 0xd800 && unit <= 0xdbff) this.#readLowHalf(end, depth, unit, found);
      else found.addPoint(end, unit);
    });
    this.#each(at, depth, (open, symbol) => {
      if (symbol !== OPEN_BRACE) return;
      this.#digits(open, depth, HEX_BRACED, (end, point) => {
        this.#each(end, depth, (last, close) => {
          if (close === CLOSE_BRACE) found.addPoint(last, point);
        });
      });
    });
  }

  /** The second half of a surrogate pair. */
  #readLowHalf(at: number, depth: number, high: number, found: Readings): void {
    this.#each(at, depth, (slash, first) => {
      if (first !== BACKSLASH) return;
      this.#each(slash, depth, (u, second) => {
        if (second !== LOWER_U) return;
        this.#digits(u, depth, HEX_4, (end, low) => {
          if (low >= 0xdc00 && low <= 0xdfff) found.addPoint(end, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
        });
      });
    });
  }

  /** `&#65;`, `&#x41;` and the names of ASCII characters. */
  #readEntity(at: number, depth: number, found: Readings): void {
    this.#readName(at, depth, NAMES, found);
    const close = (end: number, point: number) =>
      this.#each(end, depth, (last, symbol) => {
        if (symbol === SEMICOLON) found.addPoint(last, point);
      });
    this.#each(at, depth, (hash, symbol) => {
      if (symbol !== HASH) return;
      this.#digits(hash, depth, DECIMAL, close);
      this.#each(hash, depth, (x, letter) => {
        if (letter === LOWER_X || letter === UPPER_X) this.#digits(x, depth, HEX_ENTITY, close);
      });
    });
  }

  #readName(at: number, depth: number, node: NameNode, found: Readings): void {
    this.#each(at, depth, (end, symbol) => {
      if (symbol === SEMICOLON && node.value !== undefined) found.add(end, node.value);
      const next = node.next.get(symbol);
      if (next !== undefined) this.#readName(end, depth, next, found);
    });
  }

  #each(at: number, depth: number, visit: Visit): void {
    const readings = this.#readAt(at, depth);
    for (let i = 0; i < readings.length; i += 2) visit(readings[i]!, readings[i + 1]!);
  }

  /** Visits each number that stands at a place, of every count of digits that is allowed. */
  #digits(at: number, depth: number, form: Digits, visit: Visit, count = 0, value = 0): void {
    if (count >= form.least) visit(at, value);
    if (count === form.most) return;
    this.#each(at, depth, (end, symbol) => {
      const digit = digitOf(symbol);
      if (digit < form.base) this.#digits(end, depth, form, visit, count + 1, value * form.base + digit);
    });
  }
}

/**
 * The readings of a long run of backslashes: at depth `d` one of them may be written with up to 2^d, and what ends the
 * run is out of reach. The general way comes to the same, but costs too much where an answer is nothing else.
 */
function backslashes(at: number, longest: number): number[] {
  const readings: number[] = [];
  for (let end = at + 1; end <= at + longest; end++) readings.push(end, BACKSLASH);
  return readings;
}

/** Escapes within escapes: `\\\"` is two deep, `%255C%2522` three. */
export const MAX_ESCAPE_DEPTH = 3;

/** Bytes of one symbol, escaped as deep as it may be. Longer ones are taken as plain text. */
export const MAX_ESCAPE_BYTES = 768;

/** Digits of a numeric HTML entity, leading zeros included. */
const MAX_ENTITY_DIGITS = 10;

/** Places that are remembered at once, per depth: more than one escape looks ahead. */
const MEMOS = 1024;

interface Memo {
  readonly at: number;
  readonly run: number;
  readonly readings: readonly number[];
  readonly starved: boolean;
}

type Visit = (end: number, value: number) => void;

interface Digits {
  readonly base: 10 | 16;
  readonly least: number;
  readonly most: number;
}

const HEX_2: Digits = { base: 16, least: 2, most: 2 };
const HEX_4: Digits = { base: 16, least: 4, most: 4 };
const HEX_8: Digits = { base: 16, least: 8, most: 8 };
const HEX_BRACED: Digits = { base: 16, least: 1, most: 6 };
const HEX_ENTITY: Digits = { base: 16, least: 1, most: MAX_ENTITY_DIGITS };
const DECIMAL: Digits = { base: 10, least: 1, most: MAX_ENTITY_DIGITS };

const NOTHING: readonly number[] = [];

/** The readings of one place, each once. */
class Readings {
  readonly list: number[] = [];
  readonly #at: number;

  constructor(at: number) {
    this.#at = at;
  }

  add(end: number, symbol: number): void {
    if (end - this.#at > MAX_ESCAPE_BYTES) return;
    for (let i = 0; i < this.list.length; i += 2) if (this.list[i] === end && this.list[i + 1] === symbol) return;
    this.list.push(end, symbol);
  }

  /** A code point; a low one may also be a byte that was taken for a character. Half a surrogate pair is none. */
  addPoint(end: number, point: number): void {
    if (point < 0x100) this.add(end, point);
    if (point >= 0x80 && isScalar(point)) this.add(end, CHARACTER + point);
  }
}
