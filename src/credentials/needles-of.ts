/**
 * Byte strings that give a secret away, before any escaping.
 *
 * Each is `head + core + tail`: the core alone, with one of the heads before it, with one of the tails after it, or both.
 * Heads and tails are the base64 characters that share bits with a neighbour of the secret: leaving them would leave up to
 * four of its bits.
 */
export interface Needle {
  readonly core: Uint8Array;
  readonly heads: readonly number[];
  readonly tails: readonly number[];
}

/** Over this many bytes the first shared character stays: twenty copies of a long needle for four bits are too many. */
const MAX_HEADED_BYTES = 512;

/** Over this many bytes, base64 within base64 is not looked for. */
const MAX_NESTED_BYTES = 8192;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** All needles of one secret: see `scrubbed-encodings.ts`, of which escapes are the part that is not here. */
export function needlesOf(secret: string): Needle[] {
  const needles = rawForms(secret).map(plain);
  for (const bytes of carriedForms(secret)) {
    needles.push(plain(Buffer.from(bytes.toString("hex"))));
    for (const offset of [0, 1, 2]) {
      const inner = base64At(bytes, offset);
      needles.push(inner);
      if (bytes.length <= MAX_NESTED_BYTES) needles.push(...nested(inner.core));
    }
  }
  return needles;
}

/** The secret as text in each character encoding, also where UTF-8 was taken for Latin-1 and encoded again. */
function rawForms(secret: string): Buffer[] {
  const wide = Buffer.from(secret, "utf16le");
  const forms = [Buffer.from(secret, "utf8"), wide, Buffer.from(wide).swap16()];
  if (!isAscii(secret)) forms.push(Buffer.from(Buffer.from(secret, "utf8").toString("latin1"), "utf8"));
  if (isLatin1(secret)) forms.push(Buffer.from(secret, "latin1"));
  return forms;
}

/** What hex and base64 are made of: the text, and the text as it stands in JSON. */
function carriedForms(secret: string): Buffer[] {
  const forms = [Buffer.from(secret, "utf8")];
  if (isLatin1(secret)) forms.push(Buffer.from(secret, "latin1"));
  const quoted = JSON.stringify(secret).slice(1, -1);
  if (quoted !== secret) forms.push(Buffer.from(quoted, "utf8"));
  return forms;
}

/** Base64 within base64, as in a Kubernetes secret that holds a Docker configuration. */
function nested(inner: Uint8Array): Needle[] {
  const standard = Buffer.from(inner);
  const spellings = new Set([
    standard.toString("latin1"),
    standard.toString("latin1").replace(/\+/g, "-").replace(/\//g, "_"),
  ]);
  return [...spellings].flatMap((text) =>
    [0, 1, 2].map((offset) => ({ ...base64At(Buffer.from(text, "latin1"), offset), heads: [] })),
  );
}

/** The characters of base64 that depend on `bytes` alone when `offset` bytes (mod 3) stand before, and those that share. */
function base64At(bytes: Buffer, offset: number): Needle {
  const text = Buffer.concat([Buffer.alloc(offset), bytes, Buffer.alloc(2)]).toString("base64");
  const bits = 8 * (offset + bytes.length);
  const first = Math.ceil((8 * offset) / 6);
  const last = Math.floor(bits / 6);
  return {
    core: Buffer.from(text.slice(first, last), "latin1"),
    heads:
      offset === 0 || bytes.length > MAX_HEADED_BYTES
        ? []
        : sharing(text[first - 1]!, offset === 1 ? "high 2" : "high 4"),
    tails: bits % 6 === 0 ? [] : sharing(text[last]!, bits % 6 === 2 ? "low 4" : "low 2"),
  };
}

/** All characters that agree with `character` but for the bits that belong to the neighbour. */
function sharing(character: string, neighbour: "high 2" | "high 4" | "low 2" | "low 4"): number[] {
  const value = ALPHABET.indexOf(character);
  const count = neighbour.endsWith("2") ? 4 : 16;
  const step = neighbour.startsWith("low") ? 1 : 64 / count;
  return Array.from({ length: count }, (_, i) => ALPHABET.charCodeAt(value | (i * step)));
}

function plain(core: Uint8Array): Needle {
  return { core, heads: [], tails: [] };
}

function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}

/** Has characters that Latin-1 writes in another way than UTF-8, and none that it cannot write. */
function isLatin1(text: string): boolean {
  return !isAscii(text) && /^[\x00-\xff]*$/.test(text);
}
