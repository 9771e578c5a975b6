/** What escapes are written with: the characters that introduce, name and close them, as tables. */
/** Added to a code point from 128 on, to tell it from a byte. */
export const CHARACTER = 0x200000;

export const [PERCENT, BACKSLASH, AMPERSAND, PLUS, SPACE, HASH, SEMICOLON] = codes("%\\&+ #;") as Codes<7>;
export const [LOWER_U, UPPER_U, LOWER_X, UPPER_X, OPEN_BRACE, CLOSE_BRACE] = codes("uUxX{}") as Codes<6>;

type Codes<N extends number, T extends number[] = []> = T["length"] extends N ? T : Codes<N, [...T, number]>;

const SIMPLE_ESCAPES = new Map<number, number>(
  ['""', "''", "``", "\\\\", "//", "b\b", "f\f", "n\n", "r\r", "t\t", "v\v"].map(
    (pair) => codes(pair) as [number, number],
  ),
);

/** The same by code; 0 for none. */
export const SIMPLE = new Uint8Array(256).map((_, code) => SIMPLE_ESCAPES.get(code) ?? 0);

/** The HTML names of the ASCII characters. */
const ENTITY_NAMES: Readonly<Record<string, string>> = {
  Tab: "\t",
  NewLine: "\n",
  excl: "!",
  quot: '"',
  QUOT: '"',
  num: "#",
  dollar: "$",
  percnt: "%",
  amp: "&",
  AMP: "&",
  apos: "'",
  lpar: "(",
  rpar: ")",
  ast: "*",
  midast: "*",
  plus: "+",
  comma: ",",
  period: ".",
  sol: "/",
  colon: ":",
  semi: ";",
  lt: "<",
  LT: "<",
  equals: "=",
  gt: ">",
  GT: ">",
  quest: "?",
  commat: "@",
  lsqb: "[",
  lbrack: "[",
  bsol: "\\",
  rsqb: "]",
  rbrack: "]",
  Hat: "^",
  lowbar: "_",
  UnderBar: "_",
  grave: "`",
  lcub: "{",
  lbrace: "{",
  verbar: "|",
  vert: "|",
  rcub: "}",
  rbrace: "}",
}; // prettier-ignore

export interface NameNode {
  value: number | undefined;
  readonly next: Map<number, NameNode>;
}

export const NAMES = nameTree();

function nameTree(): NameNode {
  const root: NameNode = { value: undefined, next: new Map() };
  for (const [name, character] of Object.entries(ENTITY_NAMES)) {
    let node = root;
    for (const code of codes(name)) {
      const next = node.next.get(code) ?? { value: undefined, next: new Map() };
      node.next.set(code, next);
      node = next;
    }
    node.value = character.charCodeAt(0);
  }
  return root;
}

/** By first symbol of an escape: 1 for each that may be the second. */
export const FOLLOWS = new Map(
  (
    [
      [PERCENT, "0123456789abcdefABCDEFu"],
      [BACKSLASH, `\\"'\`/bfnrtvuxU`],
      [
        AMPERSAND,
        `#${Object.keys(ENTITY_NAMES)
          .map((name) => name[0])
          .join("")}`,
      ],
    ] as const
  ).map(([first, seconds]) => [first, tableOf(codes(seconds))]),
);

export function tableOf(members: readonly number[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const member of members) table[member] = 1;
  return table;
}

function codes(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}

/** Whether a number is a character of Unicode: halves of surrogate pairs are not. */
export function isScalar(point: number): boolean {
  return point < 0xd800 || (point > 0xdfff && point <= 0x10ffff);
}

/** @returns 99 for what is no digit. */
export function digitOf(symbol: number): number {
  if (symbol >= 0x30 && symbol <= 0x39) return symbol - 0x30;
  const lower = symbol | 0x20;
  return lower >= 0x61 && lower <= 0x66 && symbol < 0x80 ? lower - 0x57 : 99;
}
