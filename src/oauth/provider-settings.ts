import type {
  Adapter,
  Client,
  Context,
  errors as Errors,
  Payload,
  interactionPolicy as Policy,
  Token,
} from "oidc-provider";
import type { OAuthConfig } from "../config/schema.ts";
import type { ClientCertificate } from "../identity/client-certificate.ts";
import type { AccessTokens, LiveToken } from "./access-tokens.ts";
import { ID_JAG_PROFILE } from "./identity-assertion-grant.ts";
import { devicePage, messagePage } from "./pages.ts";
import { DETAILS_TYPE, parseResource } from "./resources.ts";
import { richAuthorization } from "./rich-authorization.ts";
import { EVERYTHING, parseScopes } from "./scopes.ts";

/** Seconds. */
const CODE_TTL = 60;
const DEVICE_CODE_TTL = 600;
const INTERACTION_TTL = 900;
const SESSION_TTL = 900;
/** Seconds that clocks may differ. */
const CLOCK_TOLERANCE = 60;
const SIGNING = ["ES256", "Ed25519", "EdDSA", "PS256", "RS256"];

export interface ProviderSettings {
  readonly publicUrl: string;
  readonly oauth: () => OAuthConfig;
  readonly adapter: (model: string) => Adapter;
  readonly tokens: Pick<AccessTokens, "find">;
  /** Private, Ed25519. */
  readonly signingKey: Payload;
  /** 32 bytes each. */
  readonly cookieKey: Buffer;
  readonly nonceKey: Buffer;
  readonly errors: typeof Errors;
  readonly policy: typeof Policy;
  readonly newClientId: () => string;
  readonly newSecret: () => string;
  /** The client certificate of a request, verified by the listener. */
  readonly certificateOf: (ctx: Context) => ClientCertificate | undefined;
  /** The only way out that oidc-provider has. */
  readonly fetch: (url: string) => Promise<Response>;
  readonly mayFetch: () => boolean;
  /** Keeps the metadata of a client as it was first seen. @returns Whether the client stands. */
  readonly pin: (metadata: Payload) => Promise<boolean>;
}

/** What makes oidc-provider Doorward's: what is on, where it is, how long things live. */
export function providerConfiguration(settings: ProviderSettings): Payload {
  const { oauth } = settings;
  return {
    adapter: settings.adapter,
    jwks: { keys: [settings.signingKey] },
    cookies: {
      keys: [settings.cookieKey],
      names: { session: "doorward_oauth", interaction: "doorward_interaction", resume: "doorward_resume" },
      long: { httpOnly: true, sameSite: "lax", path: "/oauth" },
      short: { httpOnly: true, sameSite: "lax" },
    },
    clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt", "none", "tls_client_auth"],
    clientDefaults: { id_token_signed_response_alg: "EdDSA", authorization_details_types: [DETAILS_TYPE] },
    enabledJWA: {
      clientAuthSigningAlgValues: SIGNING,
      idTokenSigningAlgValues: ["EdDSA", "Ed25519"],
      dPoPSigningAlgValues: ["ES256", "Ed25519", "EdDSA"],
    },
    clockTolerance: CLOCK_TOLERANCE,
    responseTypes: ["code"],
    scopes: ["openid"],
    discovery:
      oauth().assertionIssuers === undefined ? {} : { authorization_grant_profiles_supported: [ID_JAG_PROFILE] },
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    features: features(settings),
    routes: ROUTES,
    interactions: {
      policy: interactionPolicy(settings.policy),
      url: (_: Context, { uid }: { uid: string }) => `/oauth/interaction/${uid}`,
    },
    findAccount: (_: Context, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    // A consent covers one request of one client to one redirect URI, and no later one.
    loadExistingGrant: ({ oidc }: Context & { oidc: { provider: { Grant: { find(id: string): unknown } } } }) => {
      const grant = oidc.result?.consent?.["grantId"];
      return typeof grant === "string" ? oidc.provider.Grant.find(grant) : undefined;
    },
    expiresWithSession: () => false,
    issueRefreshToken: (_: Context, client: { grantTypeAllowed(type: string): boolean }) =>
      client.grantTypeAllowed("refresh_token"),
    rotateRefreshToken: true,
    extraTokenClaims: ({ state }: Context) => {
      const subject = state["subject"] as LiveToken | undefined;
      const asserted = state["asserted"] as { readonly user: string; readonly issuer: string } | undefined;
      if (asserted !== undefined) return { sub: asserted.user, issuer: asserted.issuer };
      if (subject === undefined) return undefined;
      return { parent: subject.hash, ...(subject.user === undefined ? {} : { sub: subject.user }) };
    },
    ttl: {
      AccessToken: () => oauth().accessTtlSeconds,
      ClientCredentials: () => oauth().accessTtlSeconds,
      RefreshToken: () => oauth().refreshTtlSeconds,
      Grant: () => oauth().refreshTtlSeconds,
      AuthorizationCode: CODE_TTL,
      DeviceCode: DEVICE_CODE_TTL,
      Interaction: INTERACTION_TTL,
      Session: SESSION_TTL,
      IdToken: CODE_TTL,
    },
    renderError: (ctx: Context, { error, error_description }: { error: string; error_description?: string }) =>
      messagePage(
        ctx,
        "This did not work",
        `${error}${error_description === undefined ? "" : `: ${error_description}`}`,
      ),
    fetch: settings.fetch,
    fetchResponseBodyLimits: { "client_id metadata document": 5 * 1024, jwks_uri: 0, sector_identifier_uri: 0 },
  };
}

const ROUTES = {
  authorization: "/oauth/authorize",
  token: "/oauth/token",
  jwks: "/oauth/jwks",
  registration: "/oauth/register",
  revocation: "/oauth/revoke",
  introspection: "/oauth/introspect",
  pushed_authorization_request: "/oauth/par",
  device_authorization: "/oauth/device_authorization",
  code_verification: "/oauth/device",
  end_session: "/oauth/session/end",
  userinfo: "/oauth/userinfo",
};

function features(settings: ProviderSettings): Payload {
  const { oauth, errors, publicUrl } = settings;
  return {
    devInteractions: { enabled: false },
    userinfo: { enabled: false },
    rpInitiatedLogout: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: {
      enabled: true,
      charset: "base-20",
      mask: "****-****",
      userCodeInputSource: (ctx: Context, form: string, _: unknown, error?: Error) =>
        devicePage(
          ctx,
          error === undefined ? "Enter the code that your device shows." : "That code is not valid.",
          form,
          "Continue",
        ),
      userCodeConfirmSource: (
        ctx: Context,
        form: string,
        client: { clientName?: string; clientId: string },
        _: unknown,
        code: string,
      ) =>
        devicePage(
          ctx,
          `Does the device of ${client.clientName ?? client.clientId} show the code ${code}?`,
          form,
          "It does",
        ),
      successSource: (ctx: Context) => messagePage(ctx, "Done", "The device has its token. This page can be closed."),
    },
    dPoP: { enabled: true, nonceSecret: settings.nonceKey },
    introspection: {
      enabled: true,
      allowedPolicy: isOwnToken,
    },
    mTLS: mutualTls(settings),
    registration: {
      enabled: oauth().registration !== "off",
      issueRegistrationAccessToken: false,
      idFactory: settings.newClientId,
      secretFactory: settings.newSecret,
    },
    clientIdMetadataDocument: {
      enabled: oauth().clientDocuments,
      ack: "draft-02",
      allowFetch: settings.mayFetch,
      // INVARIANT: a document is pinned when it is first seen, so that who changes it later changes nothing here.
      allowClient: (_: Context, client: Client) => settings.pin(client.metadata()),
    },
    pushedAuthorizationRequests: { enabled: true },
    revocation: {
      enabled: true,
      allowedPolicy: isOwnToken,
    },
    richAuthorizationRequests: richAuthorization(settings),
    resourceIndicators: {
      enabled: true,
      defaultResource: (_: Context, __: unknown, oneOf?: string | string[]) => oneOf ?? `${publicUrl}/mcp`,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx: Context, resource: string) => {
        if (parseResource(resource, publicUrl) === undefined) throw new errors.InvalidTarget();
        return { scope: scopesOf(ctx), audience: resource, accessTokenFormat: "opaque" };
      },
    },
  };
}

function isOwnToken(_: Context, client: Pick<Client, "clientId">, token: Pick<Token, "clientId">): boolean {
  return client.clientId === token.clientId;
}

/** The scopes of this request: whatever has their form. Which of them name anything is for each call to find out. */
function scopesOf({ oidc }: Context): string {
  const texts = [oidc.params?.["scope"], ...Object.values(oidc.entities).map((entity) => entity?.scope)];
  const scopes = texts.flatMap((text) => {
    const parsed = typeof text === "string" ? parseScopes(text) : undefined;
    return parsed?.ok === true ? parsed.scopes : [];
  });
  return [...new Set([EVERYTHING, ...scopes])].join(" ");
}

function mutualTls({ certificateOf }: ProviderSettings): Payload {
  return {
    enabled: true,
    certificateBoundAccessTokens: true,
    tlsClientAuth: true,
    getCertificate: (ctx: Context) => certificateOf(ctx)?.der.toString("base64"),
    certificateAuthorized: (ctx: Context) => certificateOf(ctx) !== undefined,
    certificateSubjectMatches: (ctx: Context, property: string, expected: string) => {
      const certificate = certificateOf(ctx);
      if (property === "tls_client_auth_san_uri") return certificate?.uris.includes(expected) === true;
      return property === "tls_client_auth_subject_dn" && certificate?.subject === expected;
    },
  };
}

/** Every authorization goes through our page, which asks who is there and what is allowed, each time. */
function interactionPolicy({ base, Check, Prompt }: typeof Policy) {
  const policy = base();
  policy.clear();
  const unanswered = (part: "login" | "consent") => (ctx: Context) => ctx.oidc.result?.[part] === undefined;
  policy.add(
    new Prompt(
      { name: "login", requestable: true },
      new Check("nobody", "a person must sign in", "login_required", unanswered("login")),
    ),
  );
  policy.add(
    new Prompt(
      { name: "consent", requestable: true },
      new Check("unasked", "a person must consent", "consent_required", unanswered("consent")),
    ),
  );
  return policy;
}
