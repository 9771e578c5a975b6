import { compatible } from "./hazards.ts";

/**
 * Names by which frameworks let a request say that it is another method than it is. Compared without separators,
 * brackets and case, since PHP, Rack, WSGI and their kin fold these.
 */
const OVERRIDES = new Set([
  "xhttpmethodoverride",
  "httpmethodoverride",
  "xmethodoverride",
  "methodoverride",
  "overridemethod",
  "xhttpmethod",
  "httpmethod",
  "xmethod",
  "xoriginalmethod",
]);
const SEPARATORS = /[^\p{L}\p{N}]/gu;

/**
 * Whether a query key, form key or part name is a method override: `_method`, `X-HTTP-Method-Override`, `_httpMethod[]`.
 *
 * A plain `method` is not: many an API has such a parameter.
 *
 * @param key - Decoded.
 */
export function isMethodOverrideKey(key: string): boolean {
  const name = bare(key);
  const letters = name.replace(SEPARATORS, "");
  return (
    OVERRIDES.has(letters) ||
    (letters === "method" && name !== "method") ||
    (letters === "httpheaders" && name[0] === "$")
  );
}

/** Whether a top-level key of a JSON body is one: the spellings that frameworks read there, and no honest `httpMethod`. */
export function isMethodOverrideProperty(key: string): boolean {
  const name = bare(key);
  const letters = name.replace(SEPARATORS, "");
  return (
    (letters === "method" && name !== "method") || letters.endsWith("methodoverride") || /^_http_?method$/.test(name)
  );
}

/** Whether a header is one. @param name - Lower case, with `-` for `_`. */
export function isMethodOverrideHeader(name: string): boolean {
  if (!name.includes("method")) return false;
  const letters = name.replace(SEPARATORS, "");
  return OVERRIDES.has(letters) || /method-?override|override-?method/.test(name);
}

/** Lower case, trimmed, without what PHP would read as an index: a closed bracket after a name. */
function bare(key: string): string {
  const name = compatible(key).trim().toLowerCase();
  const open = name.indexOf("[");
  return open > 0 && name.includes("]", open) && /\p{L}/u.test(name.slice(0, open)) ? name.slice(0, open) : name;
}
