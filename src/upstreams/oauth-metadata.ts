import { z } from "zod";
import { Problem } from "../base/problem.ts";
import { parseServiceUrl } from "../config/service-url.ts";
import type { ClientAuthMethod } from "../credentials/authenticate-client.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { type EgressSender, fetchOAuth } from "./oauth-fetch.ts";

const MAX_WORDS = 200;
const words = z.array(z.string()).max(MAX_WORDS);
const resourceSchema = z.object({
  resource: z.string(),
  authorization_servers: words.optional(),
  scopes_supported: words.optional(),
});
const serverSchema = z.object({
  issuer: z.string(),
  token_endpoint: z.string(),
  authorization_endpoint: z.string().optional(),
  registration_endpoint: z.string().optional(),
  revocation_endpoint: z.string().optional(),
  token_endpoint_auth_methods_supported: words.optional(),
  code_challenge_methods_supported: words.optional(),
  scopes_supported: words.optional(),
  authorization_response_iss_parameter_supported: z.boolean().optional(),
  client_id_metadata_document_supported: z.boolean().optional(),
});
/** What a server says of itself (RFC 9728). */
type ResourceMetadata = z.infer<typeof resourceSchema>;
/** What an authorization server says of itself (RFC 8414, or OpenID's). */
export type ServerMetadata = z.infer<typeof serverSchema>;

const WELL_KNOWN = "/.well-known/oauth-protected-resource";

/** What a server says of who gives tokens for it. */
export interface ResourceFound {
  /** `undefined` for a server that has none. */
  readonly metadata: ResourceMetadata | undefined;
  /** What a token must be for, as far as the server says. */
  readonly scopes: readonly string[];
}

/**
 * Reads what a server says of who gives tokens for it: where its challenge points, else at its well-known places.
 *
 * @throws {Problem} `upstream_invalid` when they are those of another resource, or as egress gives it.
 */
export async function fetchResourceMetadata(
  egress: EgressSender,
  service: CompiledMcpService,
  endpoint: URL,
): Promise<ResourceFound> {
  const path = endpoint.pathname.replace(/\/$/, "");
  const challenge = await fetchChallenge(egress, service, endpoint);
  const known = [...new Set([`${WELL_KNOWN}${path}`, WELL_KNOWN])].map((place) => new URL(place, endpoint.origin));
  for (const url of challenge.metadata === undefined ? known : [challenge.metadata, ...known]) {
    const { status, json } = await fetchOAuth(egress, service, { url });
    if (status !== 200) continue;
    const parsed = resourceSchema.safeParse(json);
    if (!parsed.success) throw invalid(`the metadata at ${url.href} are not those of a protected resource`);
    if (!covers(parsed.data.resource, endpoint))
      throw invalid(`the metadata at ${url.href} are those of another resource`);
    return { metadata: parsed.data, scopes: challenge.scopes ?? parsed.data.scopes_supported ?? [] };
  }
  return { metadata: undefined, scopes: challenge.scopes ?? [] };
}

/** Harmless in every revision, where it is not refused. */
const PROBE = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });

/** What the server says when it is called without a token. Of places, those at its own origin alone count. */
async function fetchChallenge(
  egress: EgressSender,
  service: CompiledMcpService,
  endpoint: URL,
): Promise<{ readonly metadata?: URL; readonly scopes?: readonly string[] }> {
  const post = { type: "application/json", headers: [], body: PROBE, sensitive: [] } as const;
  // A server that asks for no token may answer anything.
  const answer = await fetchOAuth(egress, service, { url: endpoint, post }).catch(() => undefined);
  const challenge = answer?.headers.find(([name]) => name === "www-authenticate")?.[1] ?? "";
  const named = /\bresource_metadata="([^"]{1,2000})"/.exec(challenge)?.[1];
  const url = named !== undefined && URL.canParse(named) ? new URL(named) : undefined;
  const scope = /\bscope="([\x21\x23-\x5b\x5d-\x7e ]{1,2000})"/.exec(challenge)?.[1];
  return {
    ...(url?.origin === endpoint.origin ? { metadata: url } : {}),
    ...(scope === undefined ? {} : { scopes: scope.split(" ").filter((one) => one !== "") }),
  };
}

/** A server speaks for itself: its own endpoint, or what holds it. */
function covers(resource: string, endpoint: URL): boolean {
  if (!URL.canParse(resource)) return false;
  const { origin, pathname } = new URL(resource);
  const folder = pathname.endsWith("/") ? pathname : `${pathname}/`;
  return origin === endpoint.origin && `${endpoint.pathname}/`.startsWith(folder);
}

/**
 * Reads what an authorization server says of itself.
 *
 * @throws {Problem} `upstream_invalid` when it has none, or those of another issuer (RFC 8414 §3.3), or as egress gives it.
 */
export async function fetchServerMetadata(
  egress: EgressSender,
  service: CompiledMcpService,
  issuer: string,
): Promise<ServerMetadata> {
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
    return found.data;
  }
  throw invalid("the authorization server has no metadata");
}

/** How a client with a secret proves itself there. */
export function clientAuthMethod({ token_endpoint_auth_methods_supported: methods }: ServerMetadata): ClientAuthMethod {
  const known = methods ?? ["client_secret_basic"];
  return known.includes("client_secret_basic") || !known.includes("client_secret_post")
    ? "client_secret_basic"
    : "client_secret_post";
}

function invalid(detail: string): Problem {
  return new Problem("upstream_invalid", {
    detail,
    remedy:
      "The owner can name `token_endpoint` in the service's credential, with `client_credentials`; else only the server can correct it.",
  });
}
