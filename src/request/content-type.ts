import { ambiguous, quote, type Refused } from "./refusal.ts";

export interface ContentType {
  readonly ok: true;
  /** `application/json`; lower case. */
  readonly essence: string;
  readonly charset: string | undefined;
  readonly boundary: string | undefined;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const TYPE = new RegExp(`^(${TOKEN}/${TOKEN})[ \\t]*(?=;|$)`);
const PARAMETER = new RegExp(
  `;[ \\t]*(?:(${TOKEN})=(?:(${TOKEN})|"([\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*)")[ \\t]*)?(?=;|$)`,
  "y",
);

/**
 * Parses a content type; one that readers could split in two ways is refused.
 *
 * @see RFC 9110 §8.3.1; escapes inside of quotes are not taken, since nobody needs them and readers differ.
 */
export function parseContentType(value: string): ContentType | Refused {
  const [whole, essence = ""] = TYPE.exec(value) ?? [];
  if (whole === undefined) return malformed(value);
  const parameters = new Map<string, string>();
  for (let at = whole.length; at < value.length; at = PARAMETER.lastIndex) {
    PARAMETER.lastIndex = at;
    const parameter = PARAMETER.exec(value);
    if (parameter === null) return malformed(value);
    const [, name, token, quoted] = parameter;
    if (name === undefined) continue;
    const known = name.toLowerCase();
    if (parameters.has(known)) return malformed(value);
    parameters.set(known, token ?? quoted ?? "");
  }
  return {
    ok: true,
    essence: essence.toLowerCase(),
    charset: parameters.get("charset")?.toLowerCase(),
    boundary: parameters.get("boundary"),
  };
}

function malformed(value: string): Refused {
  return ambiguous(`the content-type ${quote(value)} is malformed`, "Write it as `type/subtype; charset=utf-8`.");
}
