import type { JWTPayload } from "jose";
import { isObject } from "../base/json.ts";
import type { IssuerConfig } from "../config/schema.ts";
import type { IssuerKeys } from "../identity/issuer-keys.ts";
import { isJwt, issuerNamedBy, verifyIssuerToken } from "../identity/verify-issuer-token.ts";
import { type AuthorizationDetails, readDetails } from "./authorization-details.ts";
import { parseResource } from "./resources.ts";
import { EVERYTHING, parseScopes } from "./scopes.ts";

const TYPE = "oauth-id-jag+jwt";
/** Seconds from `iat` to `exp`: it is fetched to be used at once. */
const LIFETIME_LIMIT = 600;
const RESOURCES_LIMIT = 20;
/** OpenID Connect Core §2: at most 255 ASCII characters. What is not printed could stand for something else. */
const SUBJECT = /^[\x21-\x7e]{1,255}$/;
const ID_CHARACTERS = 256;

export interface AssertionDeps {
  /** Those of the rules in force. */
  readonly issuers: () => ReadonlyMap<string, IssuerConfig>;
  readonly keys: IssuerKeys;
  /** Whose people log in here too, so that a person is one, however they come. */
  readonly peopleIssuer: () => string | undefined;
  /** Our own name as an issuer. */
  readonly publicUrl: string;
  readonly now: () => Date;
}

/** What a trusted issuer says: this client may act for this person, here. */
export interface IdentityAssertion {
  readonly issuer: IssuerConfig;
  readonly user: string;
  /** `jti`: it is used once. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly exp: number;
  /** All of them ours; at least one. */
  readonly resources: readonly string[];
  readonly scopes: readonly string[];
  readonly details: AuthorizationDetails | undefined;
  /** Thumbprint of the key that alone may use it (RFC 9449). */
  readonly dpopKey: string | undefined;
}

/**
 * Verifies an identity assertion (ID-JAG) that a client presents.
 *
 * @returns What it says, or one word for the evidence. Never rejects. Whether it was used before is for the caller to ask.
 * @see draft-ietf-oauth-identity-assertion-authz-grant; RFC 7523 §3
 */
export async function readIdentityAssertion(
  deps: AssertionDeps,
  token: string,
  clientId: string,
): Promise<IdentityAssertion | { readonly fault: string }> {
  const issuer = isJwt(token) ? issuerNamedBy(token, deps.issuers()) : undefined;
  if (issuer === undefined) return { fault: "unknown_issuer" };
  const { publicUrl, now } = deps;
  const audience = [publicUrl];
  const result = await verifyIssuerToken(deps.keys, { token, issuer, audience, types: [TYPE], now: now() });
  if ("fault" in result) return result;
  const { claims } = result;
  const fault = faultOf(claims, { publicUrl, clientId });
  if (fault !== undefined) return { fault };
  return contentOf(deps, issuer, claims);
}

function faultOf(
  claims: JWTPayload,
  { publicUrl, clientId }: { readonly publicUrl: string; readonly clientId: string },
): string | undefined {
  const { aud, iat, exp, jti, sub } = claims;
  // For us alone: what another server may take too is not ours to take once.
  if ([aud].flat().some((one) => one !== publicUrl)) return "claim_aud";
  if (claims["client_id"] !== clientId) return "claim_client_id";
  if (typeof sub !== "string" || !SUBJECT.test(sub)) return "claim_sub";
  if (typeof jti !== "string" || jti === "" || jti.length > ID_CHARACTERS) return "claim_jti";
  if (iat === undefined || Number(exp) - iat > LIFETIME_LIMIT) return "lives_too_long";
  return undefined;
}

function contentOf(
  { peopleIssuer, publicUrl }: AssertionDeps,
  issuer: IssuerConfig,
  claims: JWTPayload,
): IdentityAssertion | { readonly fault: string } {
  const resources = [claims["resource"]].flat();
  const isOurs = (one: unknown): one is string =>
    typeof one === "string" && parseResource(one, publicUrl) !== undefined;
  if (!resources.every(isOurs) || resources.length === 0 || resources.length > RESOURCES_LIMIT) {
    return { fault: "claim_resource" };
  }
  const { scope = "", authorization_details: wire = [], cnf = {} } = claims;
  const parsed = typeof scope === "string" ? parseScopes(scope) : ({ ok: false } as const);
  if (!parsed.ok) return { fault: "claim_scope" };
  const details = readDetails(wire, isOurs);
  if (!details.ok) return { fault: "claim_authorization_details" };
  // A binding that we do not know is one that we would not keep.
  if (!isObject(cnf)) return { fault: "claim_cnf" };
  const { jkt, ...unknown } = cnf;
  if (Object.keys(unknown).length > 0 || (jkt !== undefined && typeof jkt !== "string")) return { fault: "claim_cnf" };
  return {
    issuer,
    // INVARIANT: an issuer speaks of its own people alone. Only where people sign in with it are they those who sign in here.
    user: issuer.issuer === peopleIssuer() ? `user:${claims.sub}` : `issuer:${issuer.name}/${claims.sub}`,
    id: claims.jti!,
    exp: claims.exp!,
    resources,
    scopes: parsed.scopes.length === 0 ? [EVERYTHING] : parsed.scopes,
    details: details.details,
    dpopKey: jkt,
  };
}
