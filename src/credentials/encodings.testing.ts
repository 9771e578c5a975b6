/**
 * The published encodings, written once more and in another way, for the scrubber's tests: encoders that take their
 * choices from a stream of numbers, and a decoder that looks for a secret by brute force.
 */

/** Gives the next choice, an integer in `[0, below)`. */
export type Choose = (below: number) => number;

/** Choices from given numbers, over and over. */
export function choicesFrom(numbers: readonly number[]): Choose {
  let next = 0;
  return (below) => (numbers[next++ % Math.max(1, numbers.length)] ?? 0) % below;
}

/** How an API may write a secret, before escaping: text that stands for bytes one to one. */
export const FORMS: Readonly<Record<string, (secret: string, choose: Choose) => Buffer>> = {
  "utf-8": (secret) => Buffer.from(secret),
  "utf-16le": (secret) => Buffer.from(secret, "utf16le"),
  "utf-16be": (secret) =>
    Buffer.from(
      Array.from({ length: secret.length }, (_, i) => [secret.charCodeAt(i) >> 8, secret.charCodeAt(i) & 255]).flat(),
    ),
  "latin-1, where it can be": (secret) => Buffer.from(secret, /^[\u0000-\u00ff]*$/.test(secret) ? "latin1" : "utf8"),
  "utf-8 taken for latin-1": (secret) => Buffer.from(Buffer.from(secret).toString("latin1")),
  hex: (secret, choose) => Buffer.from(mixCase(Buffer.from(secret).toString("hex"), choose)),
  base64: (secret) => Buffer.from(Buffer.from(secret).toString("base64")),
  base64url: (secret) => Buffer.from(Buffer.from(secret).toString("base64url")),
  "base64 of basic credentials": (secret) => Buffer.from(Buffer.from(`user:${secret}`).toString("base64")),
  "base64 within other text": (secret, choose) =>
    Buffer.from(Buffer.from(`${"<>~".slice(choose(3))}${secret}${"?>".slice(choose(2))}`).toString("base64url")),
  "base64 of json": (secret) => Buffer.from(Buffer.from(JSON.stringify({ key: secret })).toString("base64")),
  "base64 of base64": (secret, choose) => {
    const inner = Buffer.from("  ".slice(choose(3)) + secret).toString("base64");
    return Buffer.from(Buffer.from(`${"  ".slice(choose(3))}${inner}`).toString("base64"));
  },
};

/** Escapes: each takes text with one character per byte, and escapes what must be and any other that is chosen. */
export const ESCAPES: Readonly<Record<string, (text: string, choose: Choose) => string>> = {
  percent: (text, choose) =>
    each(text, (c) => {
      const must = c === "%" || c.charCodeAt(0) > 126;
      if (!must && c === " " && choose(2) === 0) return "+";
      return must || choose(3) === 0 ? `%${mixCase(hexOf(c, 2), choose)}` : c;
    }),
  json: (text, choose) =>
    each(text, (c) => {
      const short = {
        '"': '\\"',
        "\\": "\\\\",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\b": "\\b",
        "\f": "\\f",
        "/": "\\/",
      }[c];
      if (short !== undefined && choose(3) > 0) return c === "/" && choose(2) === 0 ? c : short;
      const must = c < " " || c === '"' || c === "\\";
      return must || choose(3) === 0 ? `\\u${mixCase(hexOf(c, 4), choose)}` : c;
    }),
  html: (text, choose) =>
    each(text, (c) => {
      const name = {
        "&": "amp",
        "<": "lt",
        ">": "gt",
        '"': "quot",
        "'": "apos",
        "/": "sol",
        "+": "plus",
        "=": "equals",
      }[c];
      if (name !== undefined && choose(3) > 0) return `&${name};`;
      if (c !== "&" && choose(3) > 0) return c;
      const zeros = "000".slice(choose(4));
      return choose(2) === 0
        ? `&#${zeros}${c.charCodeAt(0)};`
        : `&#${"xX"[choose(2)]}${zeros}${mixCase(hexOf(c, 2), choose)};`;
    }),
};

/** Escapes of the characters of a text, as JSON and HTML see them, not of its bytes. */
export const CHARACTER_ESCAPES: Readonly<Record<string, (text: string, choose: Choose) => string>> = {
  json: (text, choose) =>
    Array.from(text, (c) =>
      choose(2) === 0 || c === '"' || c === "\\" || c < " "
        ? each(c, (unit) => `\\u${mixCase(hexOf(unit, 4), choose)}`)
        : c,
    ).join(""),
  html: (text, choose) =>
    Array.from(text, (c) =>
      choose(2) === 0 || c === "&" ? `&#${choose(2) === 0 ? "" : "00"}${c.codePointAt(0)};` : c,
    ).join(""),
  braces: (text, choose) =>
    Array.from(text, (c) => (choose(2) === 0 || c === "\\" ? `\\u{${c.codePointAt(0)!.toString(16)}}` : c)).join(""),
  python: (text) => Array.from(text, (c) => `\\U${c.codePointAt(0)!.toString(16).padStart(8, "0")}`).join(""),
};

/** Each stretch of a text, decoded in each order of up to three escapes, compared with each form of the secret. */
export function leaks(text: string, forms: readonly string[]): string | undefined {
  const shortest = Math.min(...forms.map((form) => form.length));
  const wanted = new Set(forms);
  for (let start = 0; start + shortest <= text.length; start++) {
    for (let end = start + shortest; end <= text.length; end++) {
      for (const view of views(text.slice(start, end))) if (wanted.has(view)) return text.slice(start, end);
    }
  }
  return undefined;
}

function views(text: string): Set<string> {
  let layer = new Set([text]);
  const all = new Set(layer);
  for (let depth = 0; depth < 3; depth++) {
    layer = new Set([...layer].flatMap((one) => DECODERS.map((decode) => decode(one))));
    for (const one of layer) all.add(one);
  }
  return all;
}

const SHORT: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f" };
const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  sol: "/",
  plus: "+",
  equals: "=",
};

const DECODERS: readonly ((text: string) => string)[] = [
  (text) => text.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
  (text) =>
    text.replace(/\+/g, " ").replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
  (text) =>
    text.replace(/\\(?:u([0-9a-fA-F]{4})|(["\\/nrtbf]))/g, (_, hex, short) =>
      hex === undefined ? (SHORT[short] ?? short) : String.fromCharCode(Number.parseInt(hex, 16)),
    ),
  (text) =>
    text.replace(/&(?:#([0-9]{1,8})|#[xX]([0-9a-fA-F]{1,8})|([a-z]+));/g, (whole, decimal, hex, name) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      const point = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return point < 0x10000 ? String.fromCharCode(point) : whole;
    }),
];

function each(text: string, write: (unit: string) => string): string {
  return text.split("").map(write).join("");
}

function hexOf(c: string, digits: number): string {
  return c.charCodeAt(0).toString(16).padStart(digits, "0");
}

function mixCase(text: string, choose: Choose): string {
  return each(text, (c) => (choose(2) === 0 ? c.toUpperCase() : c));
}
