import { compatible, hasControl, hasOuterSpace, isStillEncoded } from "./hazards.ts";
import { isMethodOverrideKey } from "./method-override.ts";
import { ambiguous, quote, type Refused } from "./refusal.ts";

const PLAIN_KEY = /^[A-Za-z0-9_-]*$/;

/**
 * Looks for what makes the name of a query or form parameter ambiguous, one name at a time.
 *
 * @param where - `query` or `form`, for the message.
 * @param key - Decoded once.
 */
export function parameterKeyFault(where: "query" | "form", key: string): Refused | undefined {
  if (PLAIN_KEY.test(key) && !isMethodOverrideKey(key)) return undefined;
  const name = `the ${where} key ${quote(key)}`;
  if (hasControl(key)) return ambiguous(`${name} holds a control character`, "Leave control characters out of keys.");
  if (isStillEncoded(key)) return ambiguous(`${name} is encoded twice`, "Encode each character of a key once.");
  if (/[&=;#]/.test(key)) return ambiguous(`${name} holds a separator`, "Leave `&`, `=`, `;` and `#` out of keys.");
  if (hasOuterSpace(key)) return ambiguous(`${name} begins or ends with white space`, "Trim the keys.");
  if (compatible(key) !== key) {
    return ambiguous(
      `${name} holds characters that compatibility forms (Unicode NFKC) replace`,
      "Write keys in their NFKC form.",
    );
  }
  if (isMethodOverrideKey(key)) {
    return ambiguous(`${name} overrides the method`, "Send the request with the method that is meant.");
  }
  return undefined;
}

/**
 * Looks for two names that some upstream would take for one: `type` and `Type`, `type` and `type[]`.
 *
 * The same name twice is a list, which rules see; two spellings would each look like a single value.
 *
 * @param keys - Of one query or form, in order, repeated ones repeated.
 */
export function confusableKeys(where: "query" | "form", keys: readonly string[]): Refused | undefined {
  if (keys.length < 2) return undefined;
  const spellings = new Map<string, string>();
  const bases = new Map<string, boolean>();
  for (const key of keys) {
    const folded = foldParameterKey(key);
    const known = spellings.get(folded);
    if (known !== undefined && known !== key) return confusable(where, key, known);
    spellings.set(folded, key);
    const bracket = folded.indexOf("[");
    const base = bracket > 0 ? folded.slice(0, bracket) : folded;
    const indexed = bracket > 0;
    if (bases.get(base) === !indexed) return confusable(where, key, base);
    bases.set(base, indexed);
  }
  return undefined;
}

/** A name as the most careless reader takes it, indices kept: lower case, PHP's `.` and space as `_`. */
export function foldParameterKey(key: string): string {
  return compatible(key).toLowerCase().replace(/[.\s]/g, "_");
}

function confusable(where: string, one: string, other: string): Refused {
  return ambiguous(
    `the ${where} keys ${quote(one)} and ${quote(other)} are one to some readers`,
    "Write each key in one way.",
  );
}
