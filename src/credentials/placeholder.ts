import { randomInt } from "node:crypto";
import { Secret } from "../base/secret.ts";
import { createScrubber, type Scrubber } from "./scrubber.ts";

/** What a program is given in place of a secret, with what finds it in a request, however it is encoded there. */
export interface Placeholder {
  /** Letters, digits, `-`, `_`, and the signs of a known prefix: stands unescaped in headers, URLs, forms and JSON. */
  readonly value: string;
  readonly traces: Scrubber;
}

/**
 * How vendors begin their tokens. Public, so that keeping it gives nothing away, and programs that check what kind of
 * token they were given find what they look for. The longer before the shorter.
 */
const TYPE_PREFIXES: readonly string[] = [
  "github_pat_",
  "ghp_",
  "gho_",
  "ghu_",
  "ghs_",
  "ghr_",
  "glpat-",
  "sk_live_",
  "sk_test_",
  "rk_live_",
  "rk_test_",
  "pk_live_",
  "pk_test_",
  "whsec_",
  "sk-ant-api03-",
  "sk-ant-",
  "sk-proj-",
  "sk-or-v1-",
  "sk-",
  "xoxb-",
  "xoxp-",
  "xoxa-",
  "xoxe-",
  "xapp-",
  "npm_",
  "pypi-",
  "hf_",
  "gsk_",
  "SG.",
  "AKIA",
  "ASIA",
  "AIza",
  "lin_api_",
  "secret_",
  "ntn_",
  "figd_",
  "dop_v1_",
  "shpat_",
  "pat-",
  "key-",
  "tvly-",
  "r8_",
];

/** So many characters nobody guesses, and no ordinary text holds by chance. */
export const MIN_RANDOM_CHARACTERS = 16;
/** A placeholder and its secret have no run of this many characters in common, but for the prefix. */
export const MAX_SHARED_RUN = 8;
/** Over this length runs are shared by chance alone, and tell nothing. */
const MAX_COMPARED_CHARACTERS = 1_024;

const DIGITS = "0123456789";
const LOWER = "abcdefghijklmnopqrstuvwxyz";
const UPPER = LOWER.toUpperCase();

/** The alphabets that tokens are made of, the narrow before the wide; the first that has all characters is taken. */
const ALPHABETS: readonly { readonly of: RegExp; readonly characters: string }[] = [
  { of: /^[0-9]+$/, characters: DIGITS },
  { of: /^[0-9a-f]+$/, characters: `${DIGITS}abcdef` },
  { of: /^[0-9A-F]+$/, characters: `${DIGITS}ABCDEF` },
  { of: /^[0-9a-z]+$/, characters: DIGITS + LOWER },
  { of: /^[0-9A-Z]+$/, characters: DIGITS + UPPER },
  { of: /^[0-9A-Za-z]+$/, characters: DIGITS + UPPER + LOWER },
  { of: /^[0-9A-Za-z_-]+$/, characters: `${DIGITS}${UPPER}${LOWER}-_` },
];
/** For secrets of other characters: what passes everywhere. */
const PLAIN = DIGITS + UPPER + LOWER;

/**
 * Makes what stands in a program's environment in place of a secret: as long, of the same alphabet, with the vendor's
 * prefix, and otherwise random.
 *
 * It is drawn without a look at the secret's characters. Were each to differ from the secret's at its place, a program
 * that is started often enough would learn the secret from the characters that never come.
 *
 * A secret with fewer than {@link MIN_RANDOM_CHARACTERS} behind its prefix gets a placeholder that is longer than itself.
 * One with line breaks, spaces or signs (a PEM key, a JSON file) gets letters and digits: a program that takes it
 * apart, or signs with it, fails.
 */
export function makePlaceholder(secret: Secret): string {
  const value = secret.reveal();
  const prefix = TYPE_PREFIXES.find((known) => value.startsWith(known)) ?? "";
  const rest = value.slice(prefix.length);
  const alphabet = ALPHABETS.find(({ of }) => of.test(rest))?.characters ?? PLAIN;
  const length = Math.max(MIN_RANDOM_CHARACTERS, rest.length);
  for (;;) {
    const placeholder = prefix + randomText(alphabet, length, prefix === "");
    if (!sharesRun(placeholder.slice(prefix.length), rest)) return placeholder;
  }
}

/** Prepares a placeholder to be looked for. Costs about a millisecond: keep it as long as the program runs. */
export function watchPlaceholder(value: string): Placeholder {
  return { value, traces: createScrubber([new Secret(value)]) };
}

/** The first character is no sign where nothing stands before it: a program may take it for an option. */
function randomText(alphabet: string, length: number, first: boolean): string {
  let text = "";
  for (let index = 0; index < length; index++) {
    const signs = first && index === 0 ? alphabet.replace(/[^0-9A-Za-z]/g, "") : alphabet;
    text += signs[randomInt(signs.length)];
  }
  return text;
}

/** Next to never true: it is asked so that nobody need compute how seldom. */
function sharesRun(text: string, secret: string): boolean {
  if (secret.length > MAX_COMPARED_CHARACTERS) return false;
  const runs = new Set<string>();
  for (let at = 0; at + MAX_SHARED_RUN <= secret.length; at++) runs.add(secret.slice(at, at + MAX_SHARED_RUN));
  for (let at = 0; at + MAX_SHARED_RUN <= text.length; at++) {
    if (runs.has(text.slice(at, at + MAX_SHARED_RUN))) return true;
  }
  return false;
}
