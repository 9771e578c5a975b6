import type { Context, errors as Errors, Provider } from "oidc-provider";
import { type AccessTokens, isRevoked, type LiveToken } from "./access-tokens.ts";
import type { OAuthClients } from "./oauth-clients.ts";
import { isWithin } from "./resources.ts";
import { applyDetails, askedOf } from "./rich-authorization.ts";
import { areWithin, parseScopes } from "./scopes.ts";

const ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token";
/** Exchanges of exchanged tokens, one after the other. */
const MAX_EXCHANGES = 5;

export const EXCHANGE_PARAMETERS = [
  "subject_token",
  "subject_token_type",
  "requested_token_type",
  "actor_token",
  "actor_token_type",
  "audience",
  "resource",
  "scope",
  "authorization_details",
];

export interface ExchangeDeps {
  readonly provider: Provider;
  readonly errors: typeof Errors;
  readonly helpers: {
    /** Verifies the proof of this request; `undefined` when there is none. */
    readonly proofOf: (ctx: Context) => Promise<string | undefined>;
  };
  readonly tokens: AccessTokens;
  readonly clients: OAuthClients;
  readonly publicUrl: string;
  readonly now: () => Date;
}

/**
 * Makes the handler of token exchange (RFC 8693): an agent makes a narrower token for a sub-agent.
 *
 * What is made is in no way wider than what it is made from: the same agent and person, some of the scopes, the same
 * resource or a part of it, the same context, the same key, no later end; and it ends with it.
 */
export function createTokenExchange(deps: ExchangeDeps): (ctx: Context) => Promise<void> {
  const { errors } = deps;
  return async (ctx) => {
    const { params = {}, client } = ctx.oidc;
    if (client === undefined) throw new errors.InvalidRequest("client is missing");
    const { subject_token: value, subject_token_type: type, requested_token_type: wanted } = params;
    if (value === undefined || type !== ACCESS_TOKEN_TYPE || (wanted ?? ACCESS_TOKEN_TYPE) !== ACCESS_TOKEN_TYPE) {
      throw new errors.InvalidRequest("subject_token must be an access token, and so is what it is exchanged for");
    }
    if (params["actor_token"] !== undefined || params["audience"] !== undefined) {
      throw new errors.InvalidRequest("actor_token and audience are not supported; name a resource");
    }
    const subject = await subjectOf(deps, value, client.clientId);
    const key = await keyOf(deps, ctx, subject);
    const scopes = scopesOf(deps, params["scope"], subject);
    const audience = audienceOf(deps, params["resource"], subject);
    await issue(deps, ctx, { subject, key, scopes, audience });
  };
}

async function subjectOf(deps: ExchangeDeps, value: string, clientId: string): Promise<LiveToken> {
  const subject = await deps.tokens.find(value);
  const refuse = (why: string) => new deps.errors.InvalidGrant(why);
  if (subject === undefined) throw refuse("subject token not found");
  if (subject.expiresAt <= deps.now() || isRevoked(subject)) throw refuse("subject token ended");
  const agent = deps.clients.find(clientId)?.agent;
  const owner = deps.clients.find(subject.clientId);
  const own = clientId === subject.clientId || (agent !== undefined && owner?.agent === agent);
  if (!own || owner === undefined) throw refuse("subject token of another agent");
  if (exchangesOf(subject) >= MAX_EXCHANGES) throw refuse("too many exchanges");
  return subject;
}

/** Who exchanges a bound token proves that it has the key; the new token is bound to the same. */
async function keyOf({ errors, helpers }: ExchangeDeps, ctx: Context, subject: LiveToken): Promise<string | undefined> {
  const key = await helpers.proofOf(ctx);
  if (subject.dpopKey !== undefined && key !== subject.dpopKey) throw new errors.InvalidGrant("wrong DPoP key");
  if (subject.certificate !== undefined) throw new errors.InvalidGrant("bound to a certificate");
  return key;
}

function scopesOf({ errors }: ExchangeDeps, text: string | undefined, subject: LiveToken): readonly string[] {
  const asked = parseScopes(text ?? "");
  if (!asked.ok) throw new errors.InvalidScope("a scope is an operation, `service:operation`");
  if (asked.scopes.length === 0) return subject.scopes;
  if (!areWithin(asked.scopes, subject.scopes)) {
    throw new errors.InvalidScope("the subject token does not have these scopes", asked.scopes.join(" "));
  }
  return asked.scopes;
}

function audienceOf({ errors, publicUrl }: ExchangeDeps, resource: string | undefined, subject: LiveToken): string {
  if (resource === undefined) return subject.audience;
  if (typeof resource !== "string" || !isWithin(resource, [subject.audience], publicUrl)) {
    throw new errors.InvalidTarget();
  }
  return resource;
}

interface Exchange {
  readonly subject: LiveToken;
  readonly key: string | undefined;
  readonly scopes: readonly string[];
  readonly audience: string;
}

async function issue(deps: ExchangeDeps, ctx: Context, exchange: Exchange): Promise<void> {
  const { provider, now } = deps;
  const { subject, key, scopes, audience } = exchange;
  const token = new provider.ClientCredentials({ client: ctx.oidc.client, scope: scopes.join(" ") });
  token.resourceServer = new provider.ResourceServer(audience, { scope: scopes.join(" "), audience });
  token.rar = applyDetails(deps, { token, asked: askedOf(deps, ctx.oidc.params), granted: subject.details });
  if (key !== undefined) token.setThumbprint("jkt", key);
  const restSeconds = Math.floor((subject.expiresAt.getTime() - now().getTime()) / 1_000);
  if (restSeconds < 1) throw new Error("the subject token ended while it was exchanged");
  token.expiresIn = Math.min(token.expiration, restSeconds);
  ctx.state["subject"] = subject;
  ctx.oidc.entity("ClientCredentials", token);
  const value = await token.save();
  ctx.body = {
    access_token: value,
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: token.tokenType,
    expires_in: token.expiresIn,
    scope: token.scope,
    ...(token.rar === undefined ? {} : { authorization_details: token.rar }),
  };
}

function exchangesOf(token: LiveToken): number {
  return token.parent === undefined ? 0 : 1 + exchangesOf(token.parent);
}
