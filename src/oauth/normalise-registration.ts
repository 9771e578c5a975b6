import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";

const REDIRECTS_LIMIT = 10;
const REDIRECT_CHARACTERS = 2_000;
const NAME_CHARACTERS = 100;
const KEYS_LIMIT = 10;
const LOOPBACK = /^(?:localhost|127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\[::1\])$/;
/** Schemes of a program's own are fine (RFC 8252 §7.1); these run or open something instead. */
const FORBIDDEN_SCHEME =
  /^(?:javascript|vbscript|data|file|blob|about|filesystem|view-source|intent|ws|wss|ftp|mailto|tel|sms|jar|chrome|chrome-extension|moz-extension|ms-[a-z-]*|search-ms|smb|ssh|telnet|ldap|urn|resource|res|mhtml|mk|its):$/;
const AUTH_METHODS = new Set(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]);
const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const GRANTS = new Set(["authorization_code", "refresh_token", "client_credentials", DEVICE]);

export type NormalisedRegistration =
  | { readonly ok: true; readonly metadata: JsonObject }
  | {
      readonly ok: false;
      readonly error: "invalid_redirect_uri" | "invalid_client_metadata";
      readonly description: string;
    };

/**
 * Brings what a client says of itself into what is kept of it: known fields alone, and nothing that makes us fetch.
 *
 * Unknown fields, grants and scopes are dropped, since RFC 7591 lets a server do so and clients count on it; what would
 * change where a code goes is refused.
 */
export function normaliseRegistration(given: JsonObject): NormalisedRegistration {
  const redirects = given["redirect_uris"] ?? [];
  const fault = redirectFault(redirects);
  if (fault !== undefined) return { ok: false, error: "invalid_redirect_uri", description: fault };
  const method = given["token_endpoint_auth_method"] ?? "client_secret_basic";
  if (typeof method !== "string" || !AUTH_METHODS.has(method)) {
    return invalid("token_endpoint_auth_method is not supported");
  }
  if (given["jwks_uri"] !== undefined) return invalid("jwks_uri is not supported; send jwks");
  const jwks = given["jwks"];
  if (method === "private_key_jwt" && !isKeySet(jwks)) return invalid("jwks must hold 1 to 10 public keys");
  const uris = redirects as readonly string[];
  const grants = grantsOf(given["grant_types"], method, uris.length > 0);
  if (grants.includes("authorization_code") && uris.length === 0) {
    return { ok: false, error: "invalid_redirect_uri", description: "redirect_uris is missing" };
  }
  return {
    ok: true,
    metadata: {
      redirect_uris: [...uris],
      token_endpoint_auth_method: method,
      grant_types: grants,
      response_types: grants.includes("authorization_code") ? ["code"] : [],
      application_type: uris.every((uri) => uri.startsWith("https:")) ? "web" : "native",
      ...nameOf(given["client_name"]),
      ...(method === "private_key_jwt" && jwks !== undefined ? { jwks } : {}),
      ...(given["dpop_bound_access_tokens"] === true ? { dpop_bound_access_tokens: true } : {}),
    },
  };
}

/** What is wrong with redirect URIs; a code that goes elsewhere is a code stolen. */
function redirectFault(redirects: JsonValue): string | undefined {
  if (!Array.isArray(redirects) || redirects.length > REDIRECTS_LIMIT) {
    return `redirect_uris must be a list of at most ${REDIRECTS_LIMIT}`;
  }
  for (const redirect of redirects) {
    if (typeof redirect !== "string" || redirect.length > REDIRECT_CHARACTERS) return "a redirect URI must be a text";
    // Printable ASCII without what browsers and parsers disagree about.
    if (!/^[!$-;=?-[\]_a-z~]+$/.test(redirect) || !URL.canParse(redirect)) return "a redirect URI is not a URI";
    const { protocol, hostname, username, password } = new URL(redirect);
    if (username !== "" || password !== "" || /^[a-z]+:\/\/[^/?]*@/i.test(redirect)) {
      return "a redirect URI must not name a user";
    }
    if (protocol === "https:" && hostname !== "") continue;
    if (protocol === "http:" && LOOPBACK.test(hostname)) continue;
    if (protocol === "http:" || protocol === "https:" || FORBIDDEN_SCHEME.test(protocol)) {
      return "a redirect URI must be https, http on loopback, or of a program's own scheme";
    }
  }
  return undefined;
}

function grantsOf(given: JsonValue | undefined, method: string, redirects: boolean): string[] {
  const asked = Array.isArray(given) ? given : redirects ? ["authorization_code", "refresh_token"] : [DEVICE];
  const known = new Set(asked.filter((grant): grant is string => typeof grant === "string" && GRANTS.has(grant)));
  // Who has no secret proves nothing by its name.
  if (method === "none") known.delete("client_credentials");
  if (known.size === 0) known.add(redirects ? "authorization_code" : DEVICE);
  if (!known.has("authorization_code") && !known.has(DEVICE)) known.delete("refresh_token");
  return [...known];
}

/** A name as one line of plain text: nothing that turns, hides or forges what the consent page says. */
function nameOf(given: JsonValue | undefined): { client_name?: string } {
  if (typeof given !== "string") return {};
  const plain = given
    .normalize("NFKC")
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "")
    .replaceAll(/\s+/gu, " ")
    .trim()
    .slice(0, NAME_CHARACTERS);
  return plain === "" ? {} : { client_name: plain };
}

/** Members of a JWK that is private or symmetric (RFC 7518 §6). */
export const PRIVATE_PARTS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

function isKeySet(jwks: JsonValue | undefined): boolean {
  if (!isObject(jwks)) return false;
  const keys = jwks["keys"];
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > KEYS_LIMIT) return false;
  return keys.every((key) => isObject(key) && !PRIVATE_PARTS.some((part) => part in key));
}

function invalid(description: string): NormalisedRegistration {
  return { ok: false, error: "invalid_client_metadata", description };
}
