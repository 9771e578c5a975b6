/** The part of the composition root that proves who asks: keys, certificates, tokens of trusted issuers. */
import { readFile } from "node:fs/promises";
import type { Kysely } from "kysely";
import type { AuditLog } from "./audit/event.ts";
import type { Egress } from "./egress/egress.ts";
import { fetchDocument } from "./egress/fetch-document.ts";
import { createApiKeyStore } from "./identity/api-key-store.ts";
import { apiKeyTokens } from "./identity/api-key-tokens.ts";
import { ApiKeys } from "./identity/api-keys.ts";
import { type AgentFacts, type Authenticate, createAuthenticator } from "./identity/authenticate.ts";
import {
  type AuthenticateCaller,
  createCallerAuthenticator,
  type TokenVerifier,
} from "./identity/authenticate-caller.ts";
import { createCertificateAuthenticator } from "./identity/certificate-authenticator.ts";
import { createDeniedTokenStore } from "./identity/denied-token-store.ts";
import { createForeignTokens } from "./identity/foreign-tokens.ts";
import { createIssuerKeys, type IssuerKeys } from "./identity/issuer-keys.ts";
import type { TokenSource } from "./identity/token-source.ts";
import { createWorkloadTokens } from "./identity/workload-tokens.ts";
import { coverOf, type Kill, killOfPrincipal } from "./policy/kills.ts";
import type { Snapshot } from "./policy/snapshot.ts";
import type { Database } from "./store/schema.ts";

export interface IdentityDeps {
  readonly db: Kysely<Database>;
  readonly audit: AuditLog;
  readonly snapshot: () => Snapshot;
  readonly egress: Pick<Egress, "send">;
  readonly now: () => Date;
  /** Beyond those of this file: the authorization server's. Read at each use. */
  readonly more: { readonly verifiers: readonly TokenVerifier[]; readonly sources: readonly TokenSource[] };
}

/** Who may ask, and how it is taken back. */
export interface Identity extends AsyncDisposable {
  readonly keys: ApiKeys;
  /** Of all issuers that the file trusts. */
  readonly issuerKeys: IssuerKeys;
  /** At the local socket: keys alone. */
  readonly authenticateKey: Authenticate;
  readonly authenticate: AuthenticateCaller;
  readonly sources: () => readonly TokenSource[];
  /** Takes back the short-lived tokens that a kill covers. @returns How many. */
  revokeKilled(kill: Kill): Promise<number>;
}

/** @throws {Problem} `store_unavailable`. */
export async function openIdentity(deps: IdentityDeps): Promise<Identity> {
  const { db, audit, snapshot, egress, now, more } = deps;
  const keys = await ApiKeys.load({ store: createApiKeyStore(db), audit }, now());
  const tokens = await createForeignTokens({ store: createDeniedTokenStore(db), audit }, now());
  const agentOf = (name: string): AgentFacts | undefined => snapshot().agents.get(name)?.config;
  const authenticateKey = createAuthenticator({ keys, agentOf });
  const issuerKeys = createIssuerKeys(({ jwks, private: isPrivate }) =>
    jwks.kind === "file" ? readFile(jwks.path) : fetchDocument(egress, { url: jwks.url, private: isPrivate }),
  );
  const workload = createWorkloadTokens({
    issuers: () => snapshot().config.trustedIssuers ?? new Map(),
    agentOf,
    keys: issuerKeys,
    tokens,
    killOf: (principal) => killOfPrincipal(snapshot().kills, principal),
  });
  const authenticate = createCallerAuthenticator({
    keys: authenticateKey,
    verifiers: () => [workload, ...more.verifiers],
    certificates: createCertificateAuthenticator({ agents: () => snapshot().agents, tokens }),
  });
  const sources = () => [apiKeyTokens(keys), tokens, ...more.sources];
  return {
    keys,
    issuerKeys,
    authenticateKey,
    authenticate,
    sources,
    async revokeKilled(kill) {
      const covered = coverOf(kill);
      const covers = ({ agent, client, user }: { agent: string; client: string; user: string | undefined }) =>
        covered({ agent, client, user, tenant: agentOf(agent)?.tenant });
      const at = now();
      const counts = sources().map((source) => source.revokeKilled?.({ covers, by: kill.setBy, now: at }) ?? 0);
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    },
    [Symbol.asyncDispose]: () => keys[Symbol.asyncDispose](),
  };
}
