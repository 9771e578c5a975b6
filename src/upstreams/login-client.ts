import { z } from "zod";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Authorization } from "./discover-authorization.ts";
import { leaseClientSecret } from "./lease-client-secret.ts";
import type { LoginRecords, RegistrationRecord } from "./login-records.ts";
import type { LoginStore } from "./login-store.ts";
import { type EgressSender, fetchOAuth } from "./oauth-fetch.ts";
import type { TokenClient } from "./request-token.ts";
import type { VaultLeases } from "./start-server.ts";

/** As which client a person signs in. */
export interface LoginClient extends TokenClient {
  /** Of a client that registered itself: kept with the tokens that it gets. */
  readonly registeredSecret: string | undefined;
}

export interface LoginClientDeps {
  readonly egress: EgressSender;
  readonly vault: VaultLeases;
  readonly store: LoginStore;
  readonly records: LoginRecords;
  readonly now: () => Date;
  /** Where browsers and other servers reach Doorward. */
  readonly publicUrl: () => string;
}

const CALLBACK = "/oauth/upstream/callback";
const DOCUMENT = "/oauth/upstream/client.json";
const registered = z.object({
  client_id: z.string().regex(/^[\x20-\x7e]{1,2000}$/),
  client_secret: z
    .string()
    .regex(/^[\x20-\x7e]{1,2000}$/)
    .optional(),
  token_endpoint_auth_method: z.string().optional(),
  /** Seconds since 1970; 0 for never. */
  client_secret_expires_at: z.number().optional(),
});

/** Where authorization servers send a person's browser back to. */
export function redirectUriOf(publicUrl: string): string {
  return publicUrl + CALLBACK;
}

/** What Doorward says of itself as a client, to a registration and in its client ID metadata document. */
export function clientMetadata(publicUrl: string): Readonly<Record<string, unknown>> {
  return {
    client_name: "Doorward",
    client_uri: publicUrl,
    redirect_uris: [redirectUriOf(publicUrl)],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
    application_type: publicUrl.startsWith("https:") ? "web" : "native",
  };
}

/** The document about this client, whose URL is its id. @returns `undefined` where no server elsewhere could read it. */
export function clientDocument(publicUrl: string): object | undefined {
  return publicUrl.startsWith("https:") ? { client_id: publicUrl + DOCUMENT, ...clientMetadata(publicUrl) } : undefined;
}

/**
 * Finds the client for a sign-in: the one that the file names, else the URL of our document where the server takes that, else
 * the one that was registered before, else a new registration (RFC 7591).
 *
 * @throws {Problem} `secret_unavailable` when the client's secret cannot be had, or when there is no way to become a client.
 */
export async function findLoginClient(
  deps: LoginClientDeps,
  service: CompiledMcpService,
  at: Authorization,
): Promise<LoginClient> {
  const { credential, name } = service.config;
  if (credential?.kind !== "oauth2") throw new TypeError("no OAuth client is needed");
  const publicUrl = deps.publicUrl();
  if (credential.clientId !== undefined) {
    const lease = await leaseClientSecret(deps, service, at.tokenEndpoint);
    return { id: credential.clientId, secret: lease?.secret, method: at.method, registeredSecret: undefined };
  }
  if (at.takesDocuments && clientDocument(publicUrl) !== undefined) {
    return { id: publicUrl + DOCUMENT, secret: undefined, method: at.method, registeredSecret: undefined };
  }
  const known = await knownRegistration(deps, name, at);
  return toClient(known ?? (await register(deps, service, at)));
}

/** Forgets a registration, so that the next sign-in makes another. */
export async function forgetRegistration(store: LoginStore, service: string): Promise<void> {
  await store.remove({ service, kind: "client", owner: "" });
}

async function knownRegistration(
  { store, records, now, publicUrl }: LoginClientDeps,
  service: string,
  at: Authorization,
): Promise<RegistrationRecord | undefined> {
  const row = await store.find({ service, kind: "client", owner: "" });
  const found = row && records.openRegistration(row);
  if (found === undefined || found.issuer !== at.issuer || found.redirectUri !== redirectUriOf(publicUrl())) {
    return undefined;
  }
  return (found.expiresAtMs ?? Number.POSITIVE_INFINITY) > now().getTime() ? found : undefined;
}

async function register(
  { egress, store, records, publicUrl }: LoginClientDeps,
  service: CompiledMcpService,
  at: Authorization,
): Promise<RegistrationRecord> {
  const { name } = service.config;
  if (at.registrationEndpoint === undefined) throw noClient(name, "it takes no registrations");
  const method = at.takesPublic ? "none" : at.method;
  const scope = at.scopes.length === 0 ? {} : { scope: at.scopes.join(" ") };
  const asked = { ...clientMetadata(publicUrl()), token_endpoint_auth_method: method, ...scope };
  const { status, json } = await fetchOAuth(egress, service, {
    url: at.registrationEndpoint,
    post: { type: "application/json", headers: [], body: JSON.stringify(asked), sensitive: [] },
  });
  const parsed = registered.safeParse(json);
  if ((status !== 201 && status !== 200) || !parsed.success) throw noClient(name, `it refused, with status ${status}`);
  const { client_id: clientId, client_secret: secret, client_secret_expires_at: ends = 0 } = parsed.data;
  const given = parsed.data.token_endpoint_auth_method ?? method;
  const record: RegistrationRecord = {
    issuer: at.issuer,
    redirectUri: redirectUriOf(publicUrl()),
    clientId,
    method: given === "client_secret_post" ? "client_secret_post" : "client_secret_basic",
    ...(secret === undefined || given === "none" ? {} : { clientSecret: secret }),
    ...(ends === 0 ? {} : { expiresAtMs: ends * 1_000 }),
  };
  await store.put(records.sealRegistration(name, record));
  return record;
}

function toClient({ clientId, clientSecret, method }: RegistrationRecord): LoginClient {
  const secret = clientSecret === undefined ? undefined : new Secret(clientSecret);
  return { id: clientId, secret, method, registeredSecret: clientSecret };
}

function noClient(name: string, why: string): Problem {
  return new Problem("secret_unavailable", {
    detail: `Doorward is no client of \`${name}\`'s authorization server, and cannot register itself: ${why}`,
    remedy: "The owner can register it by hand, and write `client_id` (and `secret`) into the service's credential.",
    reason: "no OAuth client",
  });
}
