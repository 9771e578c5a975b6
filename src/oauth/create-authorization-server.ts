import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context, Provider, ProviderError } from "oidc-provider";
import type { AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import type { OAuthConfig } from "../config/schema.ts";
import type { AuthThrottle } from "../identity/auth-throttle.ts";
import type { AgentFacts, KillInForce, ProofFault } from "../identity/authenticate.ts";
import type { TokenVerifier } from "../identity/authenticate-caller.ts";
import type { ClientCertificate } from "../identity/client-certificate.ts";
import type { Principal } from "../identity/principal.ts";
import type { TokenSource } from "../identity/token-source.ts";
import type { Keyring } from "../vault/keyring.ts";
import { AccessTokens } from "./access-tokens.ts";
import { createAddressQuota } from "./address-quota.ts";
import { detailsOnWire } from "./authorization-details.ts";
import { challenge } from "./challenge.ts";
import { createDpopCheck } from "./check-dpop-proof.ts";
import type { ConsentAnswer } from "./consent.ts";
import { documentFetch, type FetchDocument } from "./document-fetch.ts";
import { createDpopNonces } from "./dpop-nonces.ts";
import type { AssertionDeps } from "./identity-assertion.ts";
import { loadProvider } from "./load-provider.ts";
import { createTokenLoader } from "./load-token.ts";
import { OAuthClients } from "./oauth-clients.ts";
import {
  createOAuthEndpoint,
  type OAuthEndpoint,
  type OAuthRefusal,
  type OAuthRequest,
  sendJson,
} from "./oauth-endpoint.ts";
import type { OAuthStore } from "./oauth-store.ts";
import { createOAuthTokens } from "./oauth-tokens.ts";
import { createOneAtATime } from "./one-at-a-time.ts";
import { PAGE_HEADERS } from "./pages.ts";
import type { PersonSessions } from "./person-sessions.ts";
import { originalRequest } from "./public-request.ts";
import { createRecordSeal } from "./record-seal.ts";
import { createRegistrationTokens, type RegistrationTokens } from "./registration-tokens.ts";
import { parseResourcePath, RESOURCE_METADATA } from "./resources.ts";
import { createAccessTokenVerifier } from "./verify-access-token.ts";

/** Authorizations and registrations that one address may begin in {@link STRANGERS_WINDOW_MS}. */
const STRANGERS_LIMIT = 300;
const STRANGERS_WINDOW_MS = 60_000;

export interface AuthorizationServerDeps {
  readonly store: OAuthStore;
  readonly keyring: Pick<Keyring, "deriveKey" | "seal" | "unseal">;
  readonly audit: AuditLog;
  readonly throttle: AuthThrottle;
  readonly persons: PersonSessions;
  /** Issuer and audience; without a trailing slash. */
  readonly publicUrl: () => string;
  readonly oauth: () => OAuthConfig;
  readonly agentOf: (name: string) => AgentFacts | undefined;
  readonly killOf: (principal: Principal) => KillInForce | undefined;
  readonly certificateOf: (request: IncomingMessage) => ClientCertificate | "refused" | undefined;
  /** For metadata of clients alone. */
  readonly fetchDocument: FetchDocument;
  /** For assertions of the company's issuer. */
  readonly assertions: Pick<AssertionDeps, "keys" | "peopleIssuer">;
  readonly fault: (error: unknown, requestId: string) => void;
  readonly now: () => Date;
}

/** The authorization server, and what of it the resource server asks at each call. */
export interface AuthorizationServer {
  readonly endpoint: OAuthEndpoint;
  readonly verifier: TokenVerifier;
  readonly tokens: TokenSource;
  readonly clients: OAuthClients;
  readonly registrationTokens: RegistrationTokens;
  /** What a 401 says. @param resource - `/mcp`, `/mcp/SERVICE` or `/api`. */
  challenge(resource: string, proof: ProofFault | undefined): Record<string, string>;
}

/** @throws {Problem} `store_unavailable`. */
export async function createAuthorizationServer(deps: AuthorizationServerDeps): Promise<AuthorizationServer> {
  const { store, keyring, audit, now, publicUrl, oauth } = deps;
  const clients = await OAuthClients.load({ store, keyring, audit });
  const seal = createRecordSeal(keyring);
  const tokens = new AccessTokens(createTokenLoader({ store, seal }));
  const registrationTokens = createRegistrationTokens({ store, seal, audit });
  const registering = new AsyncLocalStorage<string | undefined>();
  const underWay = new AsyncLocalStorage<OAuthRequest>();
  const strangers = createAddressQuota({ limit: STRANGERS_LIMIT, windowMs: STRANGERS_WINDOW_MS });
  const recorder = createRecorder(deps, clients, underWay);
  const provider = rememberOne(deps, (issuer) =>
    loadProvider(issuer, {
      adapter: { store, seal, clients, tokens, audit, now, registeringAgent: () => registering.getStore() },
      clients,
      tokens,
      keyring,
      oauth,
      certificateOf: (ctx) => certificateIn(deps.certificateOf(originalRequest(ctx.req))),
      fetch: documentFetch(deps.fetchDocument),
      mayFetch: () => strangers.take(underWay.getStore()?.ip ?? "", now()) === undefined,
      assertions: deps.assertions,
      around: recorder.around,
      failed: recorder.failed,
      now,
    }),
  );
  const nonces = createDpopNonces(keyring.deriveKey("oauth-resource-nonces"));
  return {
    clients,
    registrationTokens,
    tokens: createOAuthTokens({ store, seal, clients, tokens, audit }),
    verifier: createAccessTokenVerifier({
      tokens,
      clients,
      agentOf: deps.agentOf,
      killOf: deps.killOf,
      publicUrl,
      dpop: createDpopCheck(nonces),
    }),
    endpoint: createOAuthEndpoint({
      publicUrl,
      oauth,
      provider,
      consent: {
        persons: deps.persons,
        clients,
        formKey: keyring.deriveKey("oauth-consent-forms"),
        publicUrl,
        refreshTtlSeconds: () => oauth().refreshTtlSeconds,
        record: recorder.consent,
      },
      registrationTokens,
      strangers,
      oneAtATime: createOneAtATime(),
      registering,
      underWay,
      refuse: recorder.refuse,
      now,
    }),
    challenge: (resource, proof) =>
      challenge(`${publicUrl()}${RESOURCE_METADATA}${parseResourcePath(resource) ?? "/mcp"}`, proof),
  };
}

function certificateIn(found: ClientCertificate | "refused" | undefined): ClientCertificate | undefined {
  return found === "refused" ? undefined : found;
}

/** Keeps what was made for an issuer and its switches, and makes another when the file says another. */
function rememberOne(
  { publicUrl, oauth }: Pick<AuthorizationServerDeps, "publicUrl" | "oauth">,
  make: (issuer: string) => Promise<Provider>,
): () => Promise<Provider> {
  let known: { readonly key: string; readonly provider: Promise<Provider> } | undefined;
  return () => {
    const issuer = publicUrl();
    const { registration, clientDocuments, assertionIssuers } = oauth();
    const key = JSON.stringify([issuer, registration === "off", clientDocuments, assertionIssuers !== undefined]);
    if (known?.key !== key) known = { key, provider: make(issuer) };
    const { provider } = known;
    // What could not be made is tried again by the next request.
    provider.catch(() => {
      if (known?.provider === provider) known = undefined;
    });
    return provider;
  };
}

/** Errors that are a step of a protocol, and no refusal. */
const STEPS = new Set([
  "authorization_pending",
  "slow_down",
  "use_dpop_nonce",
  "login_required",
  "consent_required",
  "interaction_required",
]);

/** What is recorded, counted and said of each request: one event, and the same words for all who prove nothing. */
function createRecorder(
  { audit, throttle, fault, now }: AuthorizationServerDeps,
  clients: OAuthClients,
  underWay: AsyncLocalStorage<OAuthRequest>,
) {
  const circumstances = (): OAuthRequest => underWay.getStore() ?? { requestId: "", ip: "" };
  const record = async (refusal: {
    error: string;
    reason: string;
    client?: string | undefined;
  }): Promise<number | undefined> => {
    const { requestId, ip } = circumstances();
    const limited = throttle.failed(ip, now());
    if (limited.limited && !limited.first) return limited.retryAfterSeconds;
    await audit.append({
      type: "token.refused",
      request_id: requestId,
      agent: refusal.client === undefined ? undefined : clients.find(refusal.client)?.agent,
      code: refusal.error,
      data: { reason: refusal.reason.slice(0, 300), client: refusal.client?.slice(0, 200), ip },
    });
    return limited.limited ? limited.retryAfterSeconds : undefined;
  };
  const errors = new WeakMap<Context, ProviderError>();
  return {
    failed: (ctx: Context, error: ProviderError) => void errors.set(ctx, error),
    async around(ctx: Context, next: () => Promise<void>): Promise<void> {
      await next();
      if (String(ctx.response.get("content-type")).includes("html")) frameProof(ctx);
      if (ctx.path.startsWith("/.well-known/")) trimDiscovery(ctx);
      const error = errors.get(ctx);
      if (error === undefined || STEPS.has(error.error ?? "")) return;
      if (error.error === undefined) return serverFault(ctx, error);
      const wait = await record({
        error: error.error,
        reason: error.error_detail ?? error.error_description ?? error.error,
        client: ctx.oidc?.client?.clientId,
      });
      if (wait !== undefined) tooMany(ctx, wait);
    },
    async refuse(response: ServerResponse, refusal: OAuthRefusal): Promise<void> {
      const wait = (await record({ error: refusal.error, reason: refusal.description })) ?? refusal.retryAfterSeconds;
      const { status, error, description } = refusal;
      const body = { error, error_description: description };
      sendJson(
        response,
        wait === undefined ? status : 429,
        body,
        wait === undefined ? {} : { "retry-after": String(wait) },
      );
    },
    async consent({ answer, person, client, agent, redirect, scopes, details }: ConsentAnswer): Promise<void> {
      await audit.append({
        type: answer === "granted" ? "grant.issued" : "token.refused",
        ...(answer === "granted" ? {} : { code: "access_denied" }),
        request_id: circumstances().requestId,
        agent,
        user: person.id,
        data: {
          kind: "consent",
          answer,
          client,
          redirect,
          scope: scopes.join(" "),
          authorization_details: details && detailsOnWire(details),
          session: person.session,
        },
      });
    },
  };

  /** A fault that is not the caller's: said as such where we know it, and ours otherwise. */
  function serverFault(ctx: Context, error: Error): void {
    if (error instanceof Problem) {
      ctx.status = error.status;
      ctx.body = { error: "temporarily_unavailable", error_description: error.message };
    } else fault(error, circumstances().requestId);
  }
}

function tooMany(ctx: Context, wait: number): void {
  ctx.status = 429;
  ctx.set("retry-after", String(wait));
  ctx.body = { error: "temporarily_unavailable", error_description: "too many failures from this address" };
}

function frameProof(ctx: Context): void {
  if (ctx.response.get("content-security-policy") === "") ctx.set("content-security-policy", "frame-ancestors 'none'");
  for (const name of ["x-frame-options", "x-content-type-options", "referrer-policy"] as const) {
    ctx.set(name, PAGE_HEADERS[name]);
  }
}

/** Says what there is, and not what OpenID Connect would add: we prove who a program is, not who a person is. */
function trimDiscovery(ctx: Context): void {
  if (typeof ctx.body !== "object" || ctx.body === null) return;
  const body = ctx.body as { [field: string]: unknown };
  const dropped =
    /^(?:scopes|claims?|claim_types|request(?:_uri)?_parameter|require_request_uri).*|^userinfo_|^end_session_/;
  ctx.body = Object.fromEntries(
    Object.entries({
      ...body,
      protected_resources: [`${String(body["issuer"])}/mcp`, `${String(body["issuer"])}/api`],
    }).filter(([name]) => !dropped.test(name)),
  );
}
