import type { ClientAuthMethod } from "../credentials/authenticate-client.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { endpointOf } from "./discover-authorization.ts";
import type { EgressSender } from "./oauth-fetch.ts";
import { clientAuthMethod, fetchResourceMetadata, fetchServerMetadata } from "./oauth-metadata.ts";

/** Where tokens for an MCP server are got, and for what. */
export interface TokenEndpoint {
  readonly url: URL;
  /** The resource indicator (RFC 8707): who the token is for. */
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly method: ClientAuthMethod;
}

/**
 * Finds where tokens for a server are got: what the file says, else by the server's metadata (RFC 9728) and those of the
 * authorization server that it names (RFC 8414, or OpenID's).
 *
 * @throws {Problem} `upstream_invalid` when the metadata contradict themselves or are missing, or as egress gives it.
 */
export async function discoverTokenEndpoint(egress: EgressSender, service: CompiledMcpService): Promise<TokenEndpoint> {
  const { credential } = service.config;
  if (credential?.kind !== "oauth2") throw new TypeError("no OAuth client is needed");
  const endpoint = new URL(endpointOf(service));
  const { metadata, scopes: named } = await fetchResourceMetadata(egress, service, endpoint);
  const resource = metadata?.resource ?? endpoint.href.replace(/\/$/, "");
  const scopes = credential.scopes.length > 0 ? credential.scopes : named;
  if (credential.tokenEndpoint !== undefined) {
    return { url: new URL(credential.tokenEndpoint), resource, scopes, method: "client_secret_basic" };
  }
  // Older servers are their own authorization server.
  const issuer = metadata?.authorization_servers?.[0] ?? endpoint.origin;
  const found = await fetchServerMetadata(egress, service, issuer);
  return { resource, scopes, url: new URL(found.token_endpoint), method: clientAuthMethod(found) };
}
