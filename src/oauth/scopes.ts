import { parseScopeGlob } from "../config/names.ts";
import { compileGlob } from "../policy/glob.ts";

/** What a token has whose client asked for nothing: all that the agent may do. It is a pattern like any other. */
export const EVERYTHING = "*";
/** Scopes of one token. */
const SCOPES_LIMIT = 200;
/** Words of OpenID Connect that clients send by habit. They name no operation, so they narrow nothing. */
const OIDC_WORDS = new Set(["openid", "profile", "email", "address", "phone", "offline_access"]);

export type AskedScopes =
  | { readonly ok: true /** None where only words of OpenID Connect were asked. */; readonly scopes: readonly string[] }
  | { readonly ok: false };

/**
 * Reads what a client asked for.
 *
 * A scope that names nothing is kept: it lets nothing through. Dropping it would make a token that was asked to be narrow
 * a wide one, and refusing it would tell which operations exist.
 */
export function parseScopes(text: string): AskedScopes {
  const words = [...new Set(text.split(" "))].filter((word) => word !== "" && !OIDC_WORDS.has(word));
  if (words.length > SCOPES_LIMIT || words.some((word) => word !== EVERYTHING && !parseScopeGlob(word).ok)) {
    return { ok: false };
  }
  return { ok: true, scopes: words };
}

/** Whether some scopes let nothing through that the others would not. A pattern stands for all that it matches. */
export function areWithin(narrow: readonly string[], wide: readonly string[]): boolean {
  const globs = wide.map(compileGlob);
  // A `*` of the narrow one can only be matched by a `*` of the wide one, which then matches whatever it stands for.
  return narrow.every((scope) => globs.some((glob) => glob.matches(scope)));
}
