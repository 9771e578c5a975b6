import type { OAuth2CredentialConfig } from "../config/schema.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Lease } from "../vault/create-vault.ts";
import { discoverTokenEndpoint, type TokenEndpoint } from "./discover-token-endpoint.ts";
import type { LeasedCredential } from "./egress-fetch.ts";
import { leaseClientSecret } from "./lease-client-secret.ts";
import type { EgressSender } from "./oauth-fetch.ts";
import { requestToken } from "./request-token.ts";
import type { VaultLeases } from "./start-server.ts";
import { renewalAtMs, tokenLease } from "./token-lease.ts";

/** Tokens of MCP servers elsewhere, which Doorward gets as an OAuth client. */
export interface UpstreamTokens {
  /**
   * The token for a server whose credential is `oauth2` with `client_credentials`: the one in force, or a new one.
   *
   * @throws {Problem} `secret_unavailable` when the client's secret may not go to the token endpoint, or when the server
   *   refuses it; `upstream_invalid` and others when it cannot be asked.
   */
  get(service: CompiledMcpService): Promise<LeasedCredential>;
}

/** The life of a token of which nothing is said. */
const DEFAULT_LIFE_SECONDS = 300;
const MAX_LIFE_SECONDS = 86_400;

interface Held {
  readonly leased: LeasedCredential;
  readonly secretVersion: string | undefined;
  readonly issuedAt: Date;
}

/**
 * Gets and keeps the tokens of upstream servers, one per entry of the file.
 *
 * The client's secret goes to the token endpoint alone, and only where the owner confirmed that origin: one that the server
 * names elsewhere gets nothing until the file names it. Parallel calls share one request; a rotated secret ends its token.
 */
export function createUpstreamTokens(deps: {
  readonly egress: EgressSender;
  readonly vault: VaultLeases;
  readonly now: () => Date;
}): UpstreamTokens {
  const held = new WeakMap<CompiledMcpService, Held>();
  const endpoints = new WeakMap<CompiledMcpService, TokenEndpoint>();
  const underWay = new WeakMap<CompiledMcpService, Promise<LeasedCredential>>();

  const issue = async (service: CompiledMcpService, credential: OAuth2CredentialConfig) => {
    const endpoint = endpoints.get(service) ?? (await discoverTokenEndpoint(deps.egress, service));
    endpoints.set(service, endpoint);
    const secret = await leaseClientSecret(deps, service, endpoint.url);
    const known = held.get(service);
    const at = deps.now();
    if (known !== undefined && known.secretVersion === secret?.version && isFresh(known, at)) return known.leased;
    const lease = await issueLease(deps.egress, service, { credential, endpoint, secret, now: at });
    const leased: LeasedCredential = {
      credential: { kind: "bearer", secret: credential.secret ?? "" },
      lease,
      refused() {
        if (held.get(service)?.leased === leased) held.delete(service);
        endpoints.delete(service);
      },
    };
    held.set(service, { leased, secretVersion: secret?.version, issuedAt: at });
    return leased;
  };

  return {
    async get(service) {
      const { credential } = service.config;
      if (credential?.kind !== "oauth2" || credential.grant !== "client_credentials") {
        throw new TypeError("no OAuth client is needed");
      }
      const shared = underWay.get(service);
      if (shared !== undefined) return shared;
      const issued = issue(service, credential).finally(() => underWay.delete(service));
      underWay.set(service, issued);
      return issued;
    },
  };
}

/** A clock set back must not make a token last longer. */
function isFresh({ leased, issuedAt }: Held, now: Date): boolean {
  return issuedAt <= now && now < leased.lease.expiresAt;
}

async function issueLease(
  egress: EgressSender,
  service: CompiledMcpService,
  asked: {
    readonly credential: OAuth2CredentialConfig;
    readonly endpoint: TokenEndpoint;
    readonly secret: Lease | undefined;
    readonly now: Date;
  },
): Promise<Lease> {
  const { credential, endpoint, secret, now } = asked;
  const form = new URLSearchParams({ grant_type: "client_credentials", resource: endpoint.resource });
  if (endpoint.scopes.length > 0) form.set("scope", endpoint.scopes.join(" "));
  const client = { id: credential.clientId ?? "", secret: secret?.secret, method: endpoint.method };
  const answer = await requestToken(egress, service, { url: endpoint.url, form, client });
  const { accessToken: token, lifeSeconds: life = DEFAULT_LIFE_SECONDS } = answer;
  return tokenLease(token, {
    // Who it stands for, which every token of this client does alike: connections outlive one token.
    version: `oauth2:${secret?.version ?? ""}`,
    expiresAt: new Date(renewalAtMs(Math.min(life, MAX_LIFE_SECONDS), now)),
  });
}
