import { EVERYTHING, parseScopes } from "./scopes.ts";

/** Parameters that oidc-provider refuses without `openid`, which is never asked of us. */
const OIDC_PARAMETERS = ["acr_values", "claims", "claims_locales", "id_token_hint", "max_age", "nonce", "login_hint"];
const PROMPTS = new Set(["none", "login", "consent"]);
/** Where the client says for the first time what it wants; elsewhere absent means as granted. */
const ASKING_GRANTS = new Set(["client_credentials"]);

/** What kind of request the parameters are of. */
export type ParameterRoute = "authorization" | "token" | "other";

export type NormalisedParameters =
  | { readonly ok: true; readonly parameters: URLSearchParams }
  | { readonly ok: false; readonly error: "invalid_scope"; readonly description: string };

/**
 * Brings parameters of ordinary OAuth and OpenID Connect clients into the form that means one thing here: scopes are
 * operations, none means all. Duplicates stay, for oidc-provider to refuse.
 */
export function normaliseParameters(route: ParameterRoute, given: URLSearchParams): NormalisedParameters {
  const parameters = new URLSearchParams(given);
  if (route === "authorization") {
    for (const name of OIDC_PARAMETERS) parameters.delete(name);
    normalisePrompt(parameters);
  }
  const scopes = parameters.getAll("scope");
  if (scopes.length > 1) return { ok: true, parameters };
  const asked = parseScopes(scopes[0] ?? "");
  if (!asked.ok) {
    const description = "a scope is an operation, `service:operation`";
    return { ok: false, error: "invalid_scope", description };
  }
  const asks =
    route === "authorization" || (route === "token" && ASKING_GRANTS.has(parameters.get("grant_type") ?? ""));
  if (asked.scopes.length > 0) parameters.set("scope", asked.scopes.join(" "));
  else if (asks) parameters.set("scope", EVERYTHING);
  else parameters.delete("scope");
  return { ok: true, parameters };
}

function normalisePrompt(parameters: URLSearchParams): void {
  const prompts = parameters.getAll("prompt");
  if (prompts.length !== 1) return;
  const known = prompts[0]!.split(" ").filter((word) => PROMPTS.has(word));
  if (known.length === 0) parameters.delete("prompt");
  else parameters.set("prompt", known.join(" "));
}
