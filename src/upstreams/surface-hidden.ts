/**
 * Code points that carry text which people do not see: controls (tab and line breaks aside), zero-width and bidirectional
 * ones, blank letters, tags and the long list of variation selectors. First and last of each range.
 */
const HIDDEN_RANGES: readonly (readonly [number, number])[] = [
  [0x00, 0x08],
  [0x0b, 0x0c],
  [0x0e, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad],
  [0x034f, 0x034f],
  [0x061c, 0x061c],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200b],
  [0x200e, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0x2800, 0x2800],
  [0x3164, 0x3164],
  [0xe000, 0xf8ff],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xfffb],
  [0x1d173, 0x1d17a],
  [0xe0000, 0x10ffff],
];

/** Scripts that are written with joiners. */
const JOINED_SCRIPT =
  /\p{Script=Arabic}|\p{Script=Syriac}|\p{Script=Mongolian}|\p{Script=Devanagari}|\p{Script=Bengali}|\p{Script=Gurmukhi}|\p{Script=Gujarati}|\p{Script=Oriya}|\p{Script=Tamil}|\p{Script=Telugu}|\p{Script=Kannada}|\p{Script=Malayalam}|\p{Script=Sinhala}|\p{Script=Khmer}|\p{Script=Myanmar}|\p{Extended_Pictographic}|\p{Emoji_Modifier}/u;

/**
 * Whether a text holds characters that are there and are not seen.
 *
 * Joiners within emoji and in scripts that need them, and one variation selector after a character, are ordinary writing.
 */
export function hidesText(text: string): boolean {
  let before = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (isHidden(code)) return true;
    if (isJoiner(code) && !isSelector(before) && !JOINED_SCRIPT.test(before)) return true;
    if (isSelector(character) && (before === "" || isSelector(before))) return true;
    before = character;
  }
  return false;
}

/** Writes characters that are not seen, or that change how others are seen, as what they are: `\u{200b}`. */
export function visible(text: string): string {
  return Array.from(text, (character) => {
    const code = character.codePointAt(0) ?? 0;
    const odd = isHidden(code) || isJoiner(code) || isSelector(character) || ODD.test(character);
    return odd && character !== " " ? `\\u{${code.toString(16)}}` : character;
  }).join("");
}

/** Of any kind that has no ink of its own, unassigned ones included. */
const ODD = /\p{C}|\p{Z}/u;

function isHidden(code: number): boolean {
  return HIDDEN_RANGES.some(([first, last]) => code >= first && code <= last);
}

function isJoiner(code: number): boolean {
  return code === 0x200c || code === 0x200d;
}

function isSelector(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return code >= 0xfe00 && code <= 0xfe0f;
}
