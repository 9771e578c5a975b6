/**
 * The readings of a text that lenient upstreams are known to make, as predicates over decoded text.
 * Shared by paths, query keys and form keys.
 */

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
/** What is left after one decoding and could be decoded again, also in the form of IIS (`%u0041`). */
const STILL_ENCODED = /%(?:[0-9a-f]{2}|u[0-9a-f]{4})/i;
const OUTER_SPACE = /^\s|\s$/;
/** Dots, white space and characters that show nothing: what a reader may take for nothing, or for a step up. */
const BLANK = /^[.\s\p{Default_Ignorable_Code_Point}]*$/u;
const PLAIN_ASCII = /^[\x20-\x7e]*$/;

/** C0, DEL, C1 and the Unicode line separators. */
export function hasControl(text: string): boolean {
  return CONTROL.test(text);
}

export function isStillEncoded(text: string): boolean {
  return STILL_ENCODED.test(text);
}

/** Some readers trim; then it is another name. */
export function hasOuterSpace(text: string): boolean {
  return OUTER_SPACE.test(text);
}

/** Empty, or nothing but dots and what cannot be seen. */
export function isBlank(text: string): boolean {
  return BLANK.test(text);
}

/** The compatibility form (NFKC), in which a fullwidth solidus is a solidus; the text itself when nothing changes. */
export function compatible(text: string): string {
  return PLAIN_ASCII.test(text) ? text : text.normalize("NFKC");
}
