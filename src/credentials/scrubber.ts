import type { Secret } from "../base/secret.ts";
import { type CompiledNeedles, compileNeedles } from "./compile-needles.ts";
import { createScrubStream, type ScrubStream } from "./scrub-stream.ts";

/** Takes the credential of one exchange out of what comes back. Opaque: nothing that it holds can be read from it. */
export interface Scrubber {
  /** A new stream for one body. */
  stream(): ScrubStream;
  /** A whole body at once. The same array when nothing was taken out. */
  bytes(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly redacted: number };
  /** A header value or an error message. */
  text(text: string): { readonly text: string; readonly redacted: number };
}

/**
 * Under this many bytes of UTF-8 a secret is not looked for: it would be found in ordinary words.
 * `secret set` takes such a value only with `--short`, and says so.
 */
export const MIN_SCRUBBED_BYTES = 8;

/**
 * Compiles a scrubber for the credentials of one exchange.
 *
 * It finds each secret in every form of {@link SCRUBBED_ENCODINGS} and puts the marker in place of the union of what it
 * found; all other bytes pass as they came. Time is linear in what passes; a stream keeps back only what could still
 * become a match. Compiling costs about a millisecond per secret, so keep it as long as the lease.
 *
 * @param secrets - Those under {@link MIN_SCRUBBED_BYTES} are left out.
 */
export function createScrubber(secrets: readonly Secret[]): Scrubber {
  const values = secrets
    .map((secret) => secret.reveal())
    .filter((value) => Buffer.byteLength(value) >= MIN_SCRUBBED_BYTES);
  if (values.length === 0) return IDLE;
  const needles = compileNeedles(values);
  const stream = () => createScrubStream(needles);
  const bytes = (input: Uint8Array) =>
    isPlainlyClean(needles, input) ? { bytes: input, redacted: 0 } : scrubBytes(stream(), input);
  return { stream, bytes, text: rememberingClean((text) => scrubText(text, bytes)) };
}

/** Texts that were looked through and are the same in every answer: a content type, a cache rule. */
const REMEMBERED_TEXTS = 32;
const REMEMBERED_CHARACTERS = 128;

/** Looks a text through once, where it was found clean and comes again. */
function rememberingClean(scrub: Scrubber["text"]): Scrubber["text"] {
  const clean = new Set<string>();
  return (text) => {
    if (clean.has(text)) return { text, redacted: 0 };
    const scrubbed = scrub(text);
    const isShort = text.length <= REMEMBERED_CHARACTERS;
    if (scrubbed.redacted === 0 && isShort && clean.size < REMEMBERED_TEXTS) clean.add(text);
    return scrubbed;
  };
}

const EMPTY = new Uint8Array(0);

/** For services without a credential, and for those whose secret is too short to look for. */
const IDLE: Scrubber = {
  stream: () => ({ push: (chunk) => chunk, end: () => EMPTY, redacted: 0 }),
  bytes: (bytes) => ({ bytes, redacted: 0 }),
  text: (text) => ({ text, redacted: 0 }),
};

/** Most header values: too short, or without an escape and without a place where a needle could begin. */
function isPlainlyClean({ skips, reader }: CompiledNeedles, bytes: Uint8Array): boolean {
  if (bytes.length < skips.window) return true;
  if (reader.intros.some((intro) => bytes.includes(intro))) return false;
  return skips.scan(bytes, 0, bytes.length) + skips.window > bytes.length;
}

function scrubBytes(stream: ScrubStream, input: Uint8Array): { bytes: Uint8Array; redacted: number } {
  const first = stream.push(input);
  const last = stream.end();
  if (stream.redacted === 0) return { bytes: input, redacted: 0 };
  return {
    bytes: Buffer.concat(first instanceof Uint8Array ? [first, last] : [...first, last]),
    redacted: stream.redacted,
  };
}

/** Node gives header values as Latin-1, one character per byte; other text is looked at as UTF-8. */
function scrubText(text: string, scrub: Scrubber["bytes"]): { text: string; redacted: number } {
  const encoding = /^[\x00-\xff]*$/.test(text) ? "latin1" : "utf8";
  const { bytes, redacted } = scrub(Buffer.from(text, encoding));
  return redacted === 0 ? { text, redacted } : { text: Buffer.from(bytes).toString(encoding), redacted };
}
