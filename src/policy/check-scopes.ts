import type { Principal } from "../identity/principal.ts";
import { type Deny, deny } from "./decision.ts";
import { anyMatches, compileGlob, type Glob } from "./glob.ts";
import type { CompiledOperation } from "./snapshot.ts";
import type { Trace } from "./trace.ts";

/** The rule that a refusal for want of a scope names. */
const TOKEN_RULE = "token:scope";

/**
 * Checks that the caller's token was issued for every operation that a request matches.
 *
 * A token narrows what its agent may do, and widens nothing: the rules are asked first, so that whoever is told to ask for
 * a token with a scope would get in with it.
 */
export function checkScopes(
  principal: Principal,
  operations: readonly CompiledOperation[],
  trace?: Trace,
): Deny | undefined {
  if (principal.scopes === undefined) return undefined;
  const missing = operations.map(({ scope }) => scope).filter((scope) => !isInScope(principal, scope));
  if (missing.length === 0) return undefined;
  const listed = missing.join(", ");
  const detail = `the token is not for \`${listed}\``;
  trace?.push({ id: TOKEN_RULE, effect: "deny", matched: true, why: detail });
  return deny("insufficient_scope", {
    rules: [TOKEN_RULE],
    operations,
    reason: "insufficient_scope",
    detail,
    remedy: `Ask for a token with the scope \`${listed}\`.`,
    scopes: missing,
  });
}

/** Whether a token is for an operation; `scope` is `service:operation`. */
export function isInScope({ scopes }: Principal, scope: string): boolean {
  return scopes === undefined || anyMatches(globsOf(scopes), scope);
}

/** The list belongs to a key or a verified token, which brings the same one at each call. */
const compiled = new WeakMap<readonly string[], readonly Glob[]>();

function globsOf(scopes: readonly string[]): readonly Glob[] {
  const known = compiled.get(scopes);
  if (known !== undefined) return known;
  const globs = scopes.map(compileGlob);
  compiled.set(scopes, globs);
  return globs;
}
