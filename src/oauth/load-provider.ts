import { createPrivateKey, randomBytes } from "node:crypto";
import type { Context, Payload, Provider, ProviderError } from "oidc-provider";
import { newId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";
import type { OAuthConfig } from "../config/schema.ts";
import type { ClientCertificate } from "../identity/client-certificate.ts";
import type { Keyring } from "../vault/keyring.ts";
import { ACCESS_PREFIX, type AccessTokens, REFRESH_PREFIX } from "./access-tokens.ts";
import { type AdapterDeps, createAdapterFactory } from "./create-adapter.ts";
import type { AssertionDeps } from "./identity-assertion.ts";
import { ASSERTION_PARAMETERS, createAssertionGrant, JWT_BEARER, mayAssert } from "./identity-assertion-grant.ts";
import { isClientSecret, type OAuthClients, TOKEN_EXCHANGE } from "./oauth-clients.ts";
import { providerConfiguration } from "./provider-settings.ts";
import { createTokenExchange, EXCHANGE_PARAMETERS } from "./token-exchange.ts";

export interface LoadProviderDeps {
  readonly adapter: Omit<AdapterDeps, "invalidGrant">;
  readonly clients: OAuthClients;
  readonly tokens: AccessTokens;
  readonly keyring: Pick<Keyring, "deriveKey">;
  readonly oauth: () => OAuthConfig;
  readonly certificateOf: (ctx: Context) => ClientCertificate | undefined;
  readonly fetch: (url: string) => Promise<Response>;
  /** Whether the caller of the request under way may make us fetch a document. */
  readonly mayFetch: () => boolean;
  readonly assertions: Pick<AssertionDeps, "keys" | "peopleIssuer">;
  /** Wraps each request: what is recorded, counted and said of it. */
  readonly around: (ctx: Context, next: () => Promise<void>) => Promise<void>;
  /** Told of each error that oidc-provider answers with. */
  readonly failed: (ctx: Context, error: ProviderError) => void;
  readonly now: () => Date;
}

/** Events by which oidc-provider tells of an error that it answers with. */
const ERROR_EVENTS = [
  "authorization.error",
  "grant.error",
  "registration_create.error",
  "revocation.error",
  "introspection.error",
  "device_authorization.error",
  "device_resume.error",
  "code_verification.error",
  "pushed_authorization_request.error",
  "discovery.error",
  "jwks.error",
  "server_error",
];

/** Loads oidc-provider, a third of a second of work that only who uses OAuth has to wait for, and makes it ours. */
export async function loadProvider(publicUrl: string, deps: LoadProviderDeps): Promise<Provider> {
  const { Provider, errors, interactionPolicy } = await import("oidc-provider");
  const { keyring, tokens, clients, now } = deps;
  const provider = new Provider(
    publicUrl,
    providerConfiguration({
      publicUrl,
      oauth: deps.oauth,
      tokens,
      adapter: createAdapterFactory({ ...deps.adapter, invalidGrant: (why) => new errors.InvalidGrant(why) }),
      signingKey: signingKey(keyring.deriveKey("oauth-signing")),
      cookieKey: keyring.deriveKey("oauth-cookies"),
      nonceKey: keyring.deriveKey("oauth-dpop-nonces"),
      errors,
      policy: interactionPolicy,
      newClientId: () => newId("client"),
      newSecret: () => `dwc_${randomBytes(32).toString("base64url")}`,
      certificateOf: deps.certificateOf,
      fetch: deps.fetch,
      mayFetch: deps.mayFetch,
      async pin(metadata) {
        const id = String(metadata["client_id"]);
        if (clients.list().every((client) => client.id !== id)) {
          await clients.register(metadata as JsonObject, undefined, now());
        }
        return clients.find(id) !== undefined;
      },
    }),
  );
  Object.assign(provider, { silent: true });
  nameTokens(provider);
  provider.Client.prototype.compareClientSecret = function compare(presented) {
    return isClientSecret(this.clientSecret, presented);
  };
  const { default: validateDpop, checkDpopReplay } = await import("oidc-provider/lib/helpers/validate_dpop.js");
  const proofOf = async (ctx: Context): Promise<string | undefined> => {
    const proof = await validateDpop(provider, ctx);
    if (proof === undefined) return undefined;
    await checkDpopReplay(provider, ctx, proof, ctx.oidc.client?.clientId ?? "");
    return proof.thumbprint;
  };
  provider.registerGrantType(
    TOKEN_EXCHANGE,
    createTokenExchange({
      provider,
      errors,
      tokens,
      clients,
      publicUrl,
      now,
      helpers: { proofOf },
    }),
    EXCHANGE_PARAMETERS,
  );
  if (deps.oauth().assertionIssuers !== undefined) {
    allowAssertions(provider, clients);
    const grant = createAssertionGrant({
      provider,
      errors,
      publicUrl,
      now,
      proofOf,
      certificateOf: (ctx) => deps.certificateOf(ctx)?.der.toString("base64"),
      issuers: () => deps.oauth().assertionIssuers ?? new Map(),
      ...deps.assertions,
    });
    provider.registerGrantType(JWT_BEARER, grant, ASSERTION_PARAMETERS);
  }
  provider.use(deps.around);
  for (const event of ERROR_EVENTS) provider.on(event, deps.failed);
  return provider;
}

/** No client says of itself that it may: who may is for us to know, at each use. */
function allowAssertions({ Client: { prototype } }: Provider, clients: OAuthClients): void {
  const isAllowed = prototype.grantTypeAllowed;
  prototype.grantTypeAllowed = function allowed(type) {
    return type === JWT_BEARER ? mayAssert(clients, this) : isAllowed.call(this, type);
  };
}

/** Puts before each token what people and secret scanners recognise; 256 random bits follow. */
function nameTokens({ AccessToken, ClientCredentials, RefreshToken }: Provider): void {
  const prefix = ({ prototype }: Provider["AccessToken"], text: string) => {
    const random = prototype.generateTokenId;
    prototype.generateTokenId = function named() {
      return text + random.call(this);
    };
  };
  prefix(AccessToken, ACCESS_PREFIX);
  prefix(ClientCredentials, ACCESS_PREFIX);
  prefix(RefreshToken, REFRESH_PREFIX);
}

/** PKCS #8 of an Ed25519 key (RFC 8410 §7) up to its 32 bytes. */
const ED25519_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

function signingKey(seed: Buffer): Payload {
  const key = createPrivateKey({ key: Buffer.concat([ED25519_HEAD, seed]), format: "der", type: "pkcs8" });
  return { ...key.export({ format: "jwk" }), use: "sig", alg: "EdDSA", kid: "doorward-1" };
}
