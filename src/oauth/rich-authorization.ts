import type { Context, errors as Errors, Payload, Token } from "oidc-provider";
import type { AccessTokens } from "./access-tokens.ts";
import {
  type AuthorizationDetails,
  detailsOnWire,
  isAtLocation,
  narrowDetails,
  parseAuthorizationDetails,
  readDetails,
  scopesLeft,
} from "./authorization-details.ts";
import { TOKEN_EXCHANGE } from "./oauth-clients.ts";
import { DETAILS_TYPE } from "./resources.ts";
import { areWithin } from "./scopes.ts";

export interface RichAuthorizationDeps {
  readonly publicUrl: string;
  readonly errors: Pick<typeof Errors, "InvalidAuthorizationDetails">;
  readonly tokens: Pick<AccessTokens, "find">;
}

/** What a token is asked for from, where it was granted before. */
interface Source {
  readonly details: AuthorizationDetails | undefined;
  /** One resource, or several of which the client names one. */
  readonly resource: string | readonly string[] | undefined;
}

/**
 * Makes oidc-provider's rich authorization requests (RFC 9396) ours.
 *
 * Everything that can be refused is refused before a code or a refresh token is used up, so that a client's mistake does
 * not end what it has. Whatever is issued is as narrow as each step before it.
 */
export function richAuthorization(deps: RichAuthorizationDeps): Payload {
  return {
    enabled: true,
    types: { [DETAILS_TYPE]: { validate: (ctx: Context) => checkAsked(deps, ctx) } },
    // What the person saw and allowed. Without it what was asked: never nothing, which would be more.
    authorizationDetailsForGrantSource: ({ oidc }: Context) => oidc.grant?.rar ?? wireOf(askedOf(deps, oidc.params)),
    authorizationDetailsForAccessToken: (ctx: Context, token: Token, source: Token | undefined) =>
      applyDetails(deps, { token, asked: askedOf(deps, ctx.oidc.params), granted: grantedBy(source) }),
    authorizationDetailsForIntrospection: (_: Context, token: Token) => token.rar,
  };
}

/** Narrows a new access token to what was granted and is asked. @returns What it holds of them. */
export function applyDetails(
  { publicUrl, errors }: Omit<RichAuthorizationDeps, "tokens">,
  {
    token,
    asked,
    granted,
  }: {
    readonly token: Pick<Token, "scope" | "resourceServer">;
    readonly asked: AuthorizationDetails | undefined;
    readonly granted: AuthorizationDetails | undefined;
  },
): readonly unknown[] | undefined {
  const narrowed = narrowDetails(asked, granted, publicUrl);
  if (narrowed === undefined) throw new errors.InvalidAuthorizationDetails(MORE);
  const { details } = narrowed;
  if (details === undefined) return undefined;
  const resource = token.resourceServer?.audience;
  if (resource === undefined || !isAtLocation(details, resource, publicUrl)) {
    throw new errors.InvalidAuthorizationDetails(ELSEWHERE);
  }
  const scopes = scopesLeft(token.scope?.split(" ") ?? [], details);
  token.scope = scopes.join(" ");
  return detailsOnWire(details.actions === undefined ? details : { ...details, actions: scopes });
}

/** What a request asks for, which {@link checkAsked} found to be readable. */
export function askedOf(
  { publicUrl, errors }: Omit<RichAuthorizationDeps, "tokens">,
  params: Context["oidc"]["params"],
): AuthorizationDetails | undefined {
  const text = params?.["authorization_details"];
  if (text === undefined) return undefined;
  const asked = parseAuthorizationDetails(text, publicUrl);
  if (!asked.ok) throw new errors.InvalidAuthorizationDetails(asked.problem);
  return asked.details;
}

const MORE = "more is asked than was granted";
const ELSEWHERE = "the token would be for a resource outside of the locations";

async function checkAsked(deps: RichAuthorizationDeps, ctx: Context): Promise<void> {
  const { publicUrl, errors } = deps;
  const { params = {} } = ctx.oidc;
  const asked = askedOf(deps, params);
  const source = await sourceOf(deps, ctx);
  const narrowed = narrowDetails(asked, source?.details, publicUrl);
  if (narrowed === undefined) throw new errors.InvalidAuthorizationDetails(MORE);
  // The resource of the grant, where none is named: oidc-provider would take the default one.
  if (typeof source?.resource === "string") params["resource"] ??= source.resource;
  const { details } = narrowed;
  if (details === undefined) return;
  const resources = [params["resource"] ?? source?.resource ?? `${publicUrl}/mcp`].flat();
  if (resources.some((resource) => !isAtLocation(details, resource, publicUrl))) {
    throw new errors.InvalidAuthorizationDetails(ELSEWHERE);
  }
  const scopes = params["scope"]?.split(" ");
  if (details.actions !== undefined && scopes !== undefined && !areInTouch(details.actions, scopes)) {
    throw new errors.InvalidAuthorizationDetails("the actions are none of the scopes");
  }
}

/** Whether anything is left of both; who asks for two things that exclude each other made a mistake. */
function areInTouch(actions: readonly string[], scopes: readonly string[]): boolean {
  return actions.some((action) => areWithin([action], scopes)) || scopes.some((scope) => areWithin([scope], actions));
}

/** What a request at the token endpoint comes from; whether it may be used is for its grant's handler to judge. */
async function sourceOf({ tokens }: RichAuthorizationDeps, { oidc }: Context): Promise<Source | undefined> {
  if (oidc.route !== "token") return undefined;
  const { params = {}, provider } = oidc;
  const find = async (kind: "AuthorizationCode" | "RefreshToken" | "DeviceCode", name: string) => {
    const found = await provider[kind].find(params[name] ?? "", { ignoreExpiration: true });
    return found && { details: grantedBy(found), resource: found.resource };
  };
  switch (params["grant_type"]) {
    case "authorization_code":
      return find("AuthorizationCode", "code");
    case "refresh_token":
      return find("RefreshToken", "refresh_token");
    case "urn:ietf:params:oauth:grant-type:device_code":
      return find("DeviceCode", "device_code");
    case TOKEN_EXCHANGE: {
      const subject = await tokens.find(params["subject_token"] ?? "");
      return subject && { details: subject.details, resource: subject.audience };
    }
    default:
      return undefined;
  }
}

/** INVARIANT: details that cannot be read are not details that are missing, as what they took away would be given back. */
function grantedBy(source: Pick<Token, "rar"> | undefined): AuthorizationDetails | undefined {
  if (source?.rar === undefined) return undefined;
  const read = readDetails(source.rar);
  if (!read.ok) throw new Error(`granted authorization details cannot be read: ${read.problem}`);
  return read.details;
}

function wireOf(details: AuthorizationDetails | undefined): readonly unknown[] | undefined {
  return details && detailsOnWire(details);
}
