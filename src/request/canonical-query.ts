import { confusableKeys, foldParameterKey, parameterKeyFault } from "./parameter-key.ts";
import { ambiguous, quote, type Refused, refused } from "./refusal.ts";

export const MAX_QUERY_BYTES = 32 * 1024;
export const MAX_QUERY_PAIRS = 1_024;

/** Decoded; without a value when there was no `=`. */
export type QueryPair = readonly [key: string, value: string | undefined];

export type CanonicalQuery =
  | { readonly ok: true; readonly search: string; readonly query: readonly QueryPair[] }
  | Refused;

/** Value characters that no honest value needs; tabs and line breaks are some texts' own. */
const FORBIDDEN_IN_VALUE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/**
 * Brings a query into the one form that is read and sent: pairs decoded as forms are (`+` is a space), and encoded again
 * all in one way, so that no separator, no `+` and no broken escape is left for the upstream to interpret.
 *
 * Order, repetitions and keys without a value stay; empty pairs (`&&`, a trailing `&`, a lone `?`) go.
 *
 * @param raw - Without the `?`; printable ASCII.
 * @param credential - The key under which Doorward puts the credential, if it goes into the query.
 * @returns Never throws. Cost is linear in the query.
 */
export function canonicalQuery(raw: string, credential: string | undefined): CanonicalQuery {
  if (raw === "") return { ok: true, search: "", query: [] };
  if (raw.length > MAX_QUERY_BYTES) return refused("too_large", `the query is longer than ${MAX_QUERY_BYTES} bytes`);
  const pairs = parsePairs(raw, "query");
  if (!pairs.ok) return pairs;
  const reserved = credential === undefined ? undefined : foldParameterKey(credential);
  for (const [key] of pairs.pairs) {
    if (reserved !== undefined && foldParameterKey(key).split("[")[0] === reserved) {
      return ambiguous(`the query key ${quote(key)} is where Doorward puts the credential`, "Leave the key out.");
    }
  }
  const search = pairs.pairs.map(serialise).join("&");
  return { ok: true, search: search === "" ? "" : `?${search}`, query: pairs.pairs };
}

/** Reads the pairs of a query or form, and refuses those that two readers could read in two ways. */
export function parsePairs(
  raw: string,
  where: "query" | "form",
): { readonly ok: true; readonly pairs: readonly QueryPair[] } | Refused {
  const pairs: QueryPair[] = [];
  for (const piece of raw.split("&")) {
    if (piece === "") continue;
    if (pairs.length === MAX_QUERY_PAIRS)
      return refused("too_large", `the ${where} has more than ${MAX_QUERY_PAIRS} pairs`);
    const equals = piece.indexOf("=");
    const key = decodeFormText(equals === -1 ? piece : piece.slice(0, equals));
    if (key === undefined) return broken(where, piece);
    const fault = parameterKeyFault(where, key);
    if (fault !== undefined) return fault;
    const value = equals === -1 ? undefined : decodeFormText(piece.slice(equals + 1));
    if (equals !== -1 && value === undefined) return broken(where, key);
    if (value !== undefined && FORBIDDEN_IN_VALUE.test(value)) {
      return ambiguous(
        `the value of the ${where} key ${quote(key)} holds a control character`,
        "Leave control characters out; tabs and line breaks may stay.",
      );
    }
    pairs.push([key, value]);
  }
  const confusion = confusableKeys(
    where,
    pairs.map(([key]) => key),
  );
  return confusion ?? { ok: true, pairs };
}

function broken(where: string, key: string): Refused {
  return ambiguous(
    `the ${where} holds a \`%\` that begins no valid UTF-8 escape, at ${quote(key)}`,
    "Write `%25` for a percent sign, and UTF-8 bytes as `%XX`.",
  );
}

/** Decodes as forms are: `+` is a space. @returns `undefined` for broken escapes and invalid UTF-8. */
export function decodeFormText(text: string): string | undefined {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return undefined;
  }
}

function serialise([key, value]: QueryPair): string {
  return value === undefined ? encodeURIComponent(key) : `${encodeURIComponent(key)}=${encodeURIComponent(value)}`;
}
