import { Problem } from "../base/problem.ts";
import type { ClientAuthMethod } from "../credentials/authenticate-client.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { EgressSender } from "./oauth-fetch.ts";
import { clientAuthMethod, fetchResourceMetadata, fetchServerMetadata, type ServerMetadata } from "./oauth-metadata.ts";

/** Where a person signs in for an MCP server, and what Doorward must know of that place. */
export interface Authorization {
  /** Of the MCP server: origin and path. */
  readonly endpoint: string;
  /** As the authorization server names itself; its answers say the same (RFC 9207). */
  readonly issuer: string;
  /** The resource indicator (RFC 8707): who the tokens are for. */
  readonly resource: string;
  readonly scopes: readonly string[];
  /** Opened by a person's browser. */
  readonly authorizationEndpoint: URL;
  readonly tokenEndpoint: URL;
  readonly registrationEndpoint: URL | undefined;
  readonly revocationEndpoint: URL | undefined;
  /** Whether its answers must name the issuer. */
  readonly namesIssuer: boolean;
  /** Whether a client may be named by the URL of a document about it. */
  readonly takesDocuments: boolean;
  /** Whether clients may come without a secret. */
  readonly takesPublic: boolean;
  readonly method: ClientAuthMethod;
}

/** The scope of tokens for when the person is away. */
export const OFFLINE = "offline_access";

/**
 * Finds where a person signs in for a server: by the server's metadata (RFC 9728) and those of the authorization server that
 * it names (RFC 8414, or OpenID's).
 *
 * @throws {Problem} `upstream_invalid` when the metadata are missing, contradict themselves or the file, or when the
 *   authorization server lacks what Doorward asks for (PKCE with S256); else as egress gives it.
 */
export async function discoverAuthorization(egress: EgressSender, service: CompiledMcpService): Promise<Authorization> {
  const { credential } = service.config;
  if (credential?.kind !== "oauth2") throw new TypeError("no OAuth client is needed");
  const endpoint = endpointOf(service);
  const { metadata: resource, scopes } = await fetchResourceMetadata(egress, service, new URL(endpoint));
  // Older servers are their own authorization server.
  const issuer = resource?.authorization_servers?.[0] ?? new URL(endpoint).origin;
  const found = await fetchServerMetadata(egress, service, issuer);
  const tokenEndpoint = urlOf(service, "token_endpoint", found.token_endpoint)!;
  if (credential.tokenEndpoint !== undefined && new URL(credential.tokenEndpoint).href !== tokenEndpoint.href) {
    throw unfit("its token endpoint is another than the file names");
  }
  // Absent means that it does not know PKCE.
  if (found.code_challenge_methods_supported?.includes("S256") !== true)
    throw unfit("it does not offer PKCE with S256");
  const authorizationEndpoint = urlOf(service, "authorization_endpoint", found.authorization_endpoint);
  if (authorizationEndpoint === undefined) throw unfit("it names no place where a person signs in");
  return {
    endpoint,
    issuer: found.issuer,
    resource: resource?.resource ?? endpoint.replace(/\/$/, ""),
    scopes: scopesOf(credential.scopes, scopes, found),
    authorizationEndpoint,
    tokenEndpoint,
    registrationEndpoint: urlOf(service, "registration_endpoint", found.registration_endpoint),
    revocationEndpoint: urlOf(service, "revocation_endpoint", found.revocation_endpoint),
    namesIssuer: found.authorization_response_iss_parameter_supported === true,
    takesDocuments: found.client_id_metadata_document_supported === true,
    takesPublic: found.token_endpoint_auth_methods_supported?.includes("none") !== false,
    method: clientAuthMethod(found),
  };
}

/** Where an MCP server is: what its tokens are bound to. */
export function endpointOf({ config }: CompiledMcpService): string {
  const { server } = config;
  if (server.transport !== "http") throw new TypeError("the server is started, not reached");
  return server.url.origin + server.url.basePath;
}

/** A token that can be renewed is one for when the person is away. */
function scopesOf(
  configured: readonly string[],
  ofResource: readonly string[],
  { scopes_supported: known = [] }: ServerMetadata,
): readonly string[] {
  const asked = configured.length > 0 ? configured : ofResource;
  return known.includes(OFFLINE) && !asked.includes(OFFLINE) ? [...asked, OFFLINE] : asked;
}

/** Codes, tokens and people go there: over TLS alone, but for a private service. */
function urlOf(service: CompiledMcpService, what: string, text: string | undefined): URL | undefined {
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isSafe = url?.protocol === "https:" || (service.config.private && url?.protocol === "http:");
  if (url === undefined || !isSafe || url.username !== "" || url.password !== "" || url.hash !== "") {
    throw unfit(`its \`${what}\` is no safe url`);
  }
  return url;
}

function unfit(why: string): Problem {
  return new Problem("upstream_invalid", {
    detail: `the authorization server cannot be used: ${why}`,
    remedy: "The owner can give the service another credential, such as a token with `kind: bearer`.",
  });
}
