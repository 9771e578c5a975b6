import { z } from "zod";
import { Problem } from "../base/problem.ts";
import { parseServiceUrl } from "../config/service-url.ts";
import type { ClientAuthMethod } from "../credentials/authenticate-client.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { type EgressSender, fetchOAuth } from "./oauth-fetch.ts";

/** Where tokens for an MCP server are got, and for what. */
export interface TokenEndpoint {
  readonly url: URL;
  /** The resource indicator (RFC 8707): who the token is for. */
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly method: ClientAuthMethod;
}

const resourceSchema = z.object({
  resource: z.string(),
  authorization_servers: z.array(z.string()).optional(),
  scopes_supported: z.array(z.string()).optional(),
});
const serverSchema = z.object({
  issuer: z.string(),
  token_endpoint: z.string(),
  token_endpoint_auth_methods_supported: z.array(z.string()).optional(),
});
type ResourceMetadata = z.infer<typeof resourceSchema>;

const WELL_KNOWN = "/.well-known/oauth-protected-resource";

/**
 * Finds where tokens for a server are got: what the file says, else by the server's metadata (RFC 9728) and those of the
 * authorization server that it names (RFC 8414, or OpenID's).
 *
 * @throws {Problem} `upstream_invalid` when the metadata contradict themselves or are missing, or as egress gives it.
 */
export async function discoverTokenEndpoint(egress: EgressSender, service: CompiledMcpService): Promise<TokenEndpoint> {
  const { server, credential } = service.config;
  if (server.transport !== "http" || credential?.kind !== "oauth2") throw new TypeError("no OAuth client is needed");
  const endpoint = new URL(server.url.origin + server.url.basePath);
  const metadata = await resourceMetadata(egress, service, endpoint);
  const resource = metadata?.resource ?? endpoint.href.replace(/\/$/, "");
  const scopes = credential.scopes.length > 0 ? credential.scopes : (metadata?.scopes_supported ?? []);
  if (credential.tokenEndpoint !== undefined) {
    return { url: new URL(credential.tokenEndpoint), resource, scopes, method: "client_secret_basic" };
  }
  // Older servers are their own authorization server.
  const issuer = metadata?.authorization_servers?.[0] ?? endpoint.origin;
  return { resource, scopes, ...(await serverMetadata(egress, service, issuer)) };
}

/** @returns `undefined` for a server that has none. */
async function resourceMetadata(
  egress: EgressSender,
  service: CompiledMcpService,
  endpoint: URL,
): Promise<ResourceMetadata | undefined> {
  const path = endpoint.pathname.replace(/\/$/, "");
  const known = [...new Set([`${WELL_KNOWN}${path}`, WELL_KNOWN])].map((place) => new URL(place, endpoint.origin));
  const places = [...known.map((url) => () => url), () => challengedPlace(egress, service, endpoint)];
  for (const place of places) {
    const url = await place();
    if (url === undefined) continue;
    const { status, json } = await fetchOAuth(egress, service, { url });
    if (status !== 200) continue;
    const parsed = resourceSchema.safeParse(json);
    if (!parsed.success) throw invalid(`the metadata at ${url.href} are not those of a protected resource`);
    if (covers(parsed.data.resource, endpoint)) return parsed.data;
    throw invalid(`the metadata at ${url.href} are those of another resource`);
  }
  return undefined;
}

/** Asked last: the place that the server names when it is called without a token. Its own origin alone counts. */
async function challengedPlace(
  egress: EgressSender,
  service: CompiledMcpService,
  endpoint: URL,
): Promise<URL | undefined> {
  // A server that asks for no token may answer with a stream without end.
  const answer = await fetchOAuth(egress, service, { url: endpoint }).catch(() => undefined);
  const challenge = answer?.headers.find(([name]) => name === "www-authenticate")?.[1] ?? "";
  const named = /\bresource_metadata="([^"]{1,2000})"/.exec(challenge)?.[1];
  if (named === undefined || !URL.canParse(named)) return undefined;
  const url = new URL(named);
  return url.origin === endpoint.origin ? url : undefined;
}

/** A server speaks for itself: its own endpoint, or what holds it. */
function covers(resource: string, endpoint: URL): boolean {
  if (!URL.canParse(resource)) return false;
  const { origin, pathname } = new URL(resource);
  const folder = pathname.endsWith("/") ? pathname : `${pathname}/`;
  return origin === endpoint.origin && `${endpoint.pathname}/`.startsWith(folder);
}

async function serverMetadata(
  egress: EgressSender,
  service: CompiledMcpService,
  issuer: string,
): Promise<Pick<TokenEndpoint, "url" | "method">> {
  const parsed = parseServiceUrl(issuer);
  if (!parsed.ok) throw invalid("the server's metadata name an authorization server that is no url");
  const { origin, basePath } = parsed.value;
  const places = [
    `/.well-known/oauth-authorization-server${basePath}`,
    `/.well-known/openid-configuration${basePath}`,
    `${basePath}/.well-known/openid-configuration`,
  ];
  for (const place of new Set(places)) {
    const { status, json } = await fetchOAuth(egress, service, { url: new URL(place, origin) });
    if (status !== 200) continue;
    const found = serverSchema.safeParse(json);
    if (!found.success) throw invalid("the authorization server's metadata name no token endpoint");
    if (found.data.issuer.replace(/\/$/, "") !== issuer.replace(/\/$/, "")) {
      throw invalid("the authorization server's metadata are those of another issuer");
    }
    const url = parseServiceUrl(found.data.token_endpoint.split("?", 1)[0]!);
    if (!url.ok) throw invalid("the token endpoint is no url");
    const methods = found.data.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
    const method = methods.includes("client_secret_basic") || !methods.includes("client_secret_post");
    return {
      url: new URL(found.data.token_endpoint),
      method: method ? "client_secret_basic" : "client_secret_post",
    };
  }
  throw invalid("the authorization server has no metadata");
}

function invalid(detail: string): Problem {
  return new Problem("upstream_invalid", {
    detail,
    remedy: "The owner can name `token_endpoint` in the service's credential.",
  });
}
