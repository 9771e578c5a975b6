import type { Client, Context, errors as Errors, Provider } from "oidc-provider";
import { CLOCK_TOLERANCE_SECONDS } from "../identity/verify-issuer-token.ts";
import { type AssertionDeps, type IdentityAssertion, readIdentityAssertion } from "./identity-assertion.ts";
import type { OAuthClients } from "./oauth-clients.ts";
import { isWithin } from "./resources.ts";
import { applyDetails, askedOf } from "./rich-authorization.ts";
import { areWithin, parseScopes } from "./scopes.ts";

/** RFC 7523. */
export const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/** What the metadata say of it (draft-ietf-oauth-identity-assertion-authz-grant). */
export const ID_JAG_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag";
export const ASSERTION_PARAMETERS = ["assertion", "resource", "scope", "authorization_details"];

export interface AssertionGrantDeps extends AssertionDeps {
  readonly provider: Provider;
  readonly errors: typeof Errors;
  /** Verifies the proof of possession of this request; `undefined` when there is none. */
  readonly proofOf: (ctx: Context) => Promise<string | undefined>;
  /** The client certificate of this request, DER in base64. */
  readonly certificateOf: (ctx: Context) => string | undefined;
}

/** Whether a client may present assertions: one that proves itself, and that a person gave a role. */
export function mayAssert(
  clients: Pick<OAuthClients, "find">,
  { clientId, clientAuthMethod }: Pick<Client, "clientId" | "clientAuthMethod">,
): boolean {
  return clientAuthMethod !== "none" && clients.find(clientId)?.agent !== undefined;
}

/**
 * Makes the handler of the enterprise assertion grant (ID-JAG): the company's issuer says that a client may act for a
 * person, and the client gets an access token for that person, without a refresh token and without a question to them.
 *
 * What is issued is in no way wider than the assertion, and an assertion is used once. What was wrong stands in the
 * evidence alone.
 */
export function createAssertionGrant(deps: AssertionGrantDeps): (ctx: Context) => Promise<void> {
  const { errors } = deps;
  return async (ctx) => {
    const { params = {}, client } = ctx.oidc;
    const { assertion: value } = params;
    if (client === undefined || value === undefined) throw new errors.InvalidRequest("assertion is missing");
    const assertion = await readIdentityAssertion(deps, value, client.clientId);
    if ("fault" in assertion) throw new errors.InvalidGrant(`assertion: ${assertion.fault}`);
    const token = tokenOf(deps, ctx, assertion);
    await bind(deps, ctx, { token, client, assertion });
    await useOnce(deps, assertion);
    ctx.state["asserted"] = { user: assertion.user, issuer: assertion.issuer.name };
    ctx.oidc.entity("ClientCredentials", token);
    const accessToken = await token.save();
    ctx.body = {
      access_token: accessToken,
      token_type: token.tokenType,
      expires_in: token.expiration,
      scope: token.scope,
      ...(token.rar === undefined ? {} : { authorization_details: token.rar }),
    };
  };
}

type Made = InstanceType<Provider["ClientCredentials"]>;

function tokenOf(deps: AssertionGrantDeps, ctx: Context, assertion: IdentityAssertion): Made {
  const { provider } = deps;
  const { params = {} } = ctx.oidc;
  const scope = scopesOf(deps, params["scope"], assertion).join(" ");
  const audience = audienceOf(deps, params["resource"], assertion);
  const token = new provider.ClientCredentials({ client: ctx.oidc.client, scope });
  token.resourceServer = new provider.ResourceServer(audience, { scope, audience });
  token.rar = applyDetails(deps, { token, asked: askedOf(deps, params), granted: assertion.details });
  return token;
}

function scopesOf({ errors }: AssertionGrantDeps, text: string | undefined, { scopes }: IdentityAssertion) {
  const asked = parseScopes(text ?? "");
  if (!asked.ok) throw new errors.InvalidScope("a scope is an operation, `service:operation`");
  if (asked.scopes.length === 0) return scopes;
  if (!areWithin(asked.scopes, scopes)) {
    throw new errors.InvalidScope("the assertion does not have these scopes", asked.scopes.join(" "));
  }
  return asked.scopes;
}

function audienceOf(
  { errors, publicUrl }: AssertionGrantDeps,
  asked: string | undefined,
  { resources }: IdentityAssertion,
): string {
  const [only, ...more] = resources;
  if (asked === undefined) {
    if (only === undefined || more.length > 0) throw new errors.InvalidTarget();
    return only;
  }
  if (typeof asked !== "string" || !isWithin(asked, resources, publicUrl)) throw new errors.InvalidTarget();
  return asked;
}

/** Binds the token to the key or the certificate that its client, or the assertion, says that it must be bound to. */
async function bind(
  { errors, proofOf, certificateOf }: AssertionGrantDeps,
  ctx: Context,
  made: { readonly token: Made; readonly client: Client; readonly assertion: IdentityAssertion },
): Promise<void> {
  const { token, client, assertion } = made;
  const key = await proofOf(ctx);
  if (assertion.dpopKey !== undefined && key !== assertion.dpopKey) throw new errors.InvalidGrant("wrong DPoP key");
  if (key !== undefined) token.setThumbprint("jkt", key);
  else if (client.dpopBoundAccessTokens === true) throw new errors.InvalidGrant("a DPoP proof is missing");
  if (client.tlsClientCertificateBoundAccessTokens !== true) return;
  const certificate = certificateOf(ctx);
  if (certificate === undefined) throw new errors.InvalidGrant("the client certificate is missing");
  token.setThumbprint("x5t", certificate);
}

/** INVARIANT: it is remembered for as long as it could be taken again. Of parallel uses, the store lets one insert. */
async function useOnce(
  { provider, errors }: AssertionGrantDeps,
  { issuer, id, exp }: IdentityAssertion,
): Promise<void> {
  const until = exp + CLOCK_TOLERANCE_SECONDS + 1;
  const isFirst = await provider.ReplayDetection.unique(`id-jag\n${issuer.issuer}\n`, id, until);
  if (!isFirst) throw new errors.InvalidGrant("assertion: used before");
}
