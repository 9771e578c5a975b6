import type { AgentFacts, Authentication, KillInForce } from "../identity/authenticate.ts";
import type { CallerProof, TokenVerifier } from "../identity/authenticate-caller.ts";
import type { Principal, SignedContext } from "../identity/principal.ts";
import { ACCESS_PREFIX, type AccessTokens, isRevoked, type LiveToken, tokenId } from "./access-tokens.ts";
import type { CheckDpopProof } from "./check-dpop-proof.ts";
import { agentNameOf, type OAuthClient, type OAuthClients } from "./oauth-clients.ts";
import { EVERYTHING } from "./scopes.ts";

export interface VerifierDeps {
  readonly tokens: Pick<AccessTokens, "find">;
  readonly clients: Pick<OAuthClients, "find">;
  /** Reads the snapshot in force; `undefined` when the file has no such agent. */
  readonly agentOf: (name: string) => AgentFacts | undefined;
  /** The kill in force that covers a caller. */
  readonly killOf: (principal: Principal) => KillInForce | undefined;
  readonly publicUrl: () => string;
  readonly dpop: CheckDpopProof;
}

/**
 * Makes the judge of our own access tokens.
 *
 * Everything is judged at every use, from memory: who was revoked, expired, or lost its client or agent is refused at its
 * next call. A client that nobody adopted acts as an agent that no file can name, and so may do nothing.
 */
export function createAccessTokenVerifier(deps: VerifierDeps): TokenVerifier {
  return {
    verify(token, proof) {
      if (!token.startsWith(ACCESS_PREFIX)) return undefined;
      const found = deps.tokens.find(token);
      if (!(found instanceof Promise)) return judge(deps, found, token, proof);
      return found.then(
        (live) => judge(deps, live, token, proof),
        () => refused("store_unavailable"),
      );
    },
  };
}

function judge(
  deps: VerifierDeps,
  live: LiveToken | undefined,
  token: string,
  proof: CallerProof,
): Authentication | Promise<Authentication> {
  if (live === undefined) return refused("unknown");
  const client = deps.clients.find(live.clientId);
  if (client === undefined) return refused("revoked_client", live);
  const fault = faultOf(deps, live, proof);
  if (fault !== undefined) return refused(fault, live, client.agent);
  const agent = client.agent === undefined ? {} : deps.agentOf(client.agent);
  if (agent === undefined) return refused("unknown_agent", live, client.agent);
  const principal = principalOf(live, client, agent, proof);
  if (isRevoked(live)) return refused("revoked", live, client.agent, deps.killOf(principal));
  return live.dpopKey === undefined
    ? { ok: true, principal }
    : withProof(deps, { live, key: live.dpopKey, token, proof, principal });
}

function faultOf(deps: VerifierDeps, live: LiveToken, proof: CallerProof): string | undefined {
  if (live.expiresAt <= proof.now) return "expired";
  if (proof.resource === undefined || live.audience !== deps.publicUrl() + proof.resource) return "wrong_audience";
  if (live.certificate !== undefined && live.certificate !== proof.certificate?.thumbprint) return "wrong_certificate";
  return undefined;
}

interface Bound {
  readonly live: LiveToken;
  readonly key: string;
  readonly token: string;
  readonly proof: CallerProof;
  readonly principal: Principal;
}

async function withProof(deps: VerifierDeps, { live, key, token, proof, principal }: Bound): Promise<Authentication> {
  const { method = "", url = "", headers } = proof.http ?? {};
  const scheme = /^DPoP /i.test(headers?.authorization ?? "");
  const given = headers?.["dpop"];
  const answer = scheme
    ? await deps.dpop({
        token,
        key,
        proof: typeof given === "string" ? given : undefined,
        method,
        url: deps.publicUrl() + url,
        now: proof.now,
      })
    : { ok: false as const, reason: "dpop_as_bearer", nonce: undefined };
  if (answer.ok) return { ok: true, principal };
  return {
    ok: false,
    reason: answer.reason,
    proof: { nonce: answer.nonce },
    agent: principal.agent,
    keyId: tokenId(live.hash),
  };
}

function principalOf(live: LiveToken, client: OAuthClient, agent: AgentFacts, proof: CallerProof): Principal {
  const signed = live.details;
  return {
    agent: agentNameOf(client),
    client: client.id,
    user: live.user,
    tenant: agent.tenant,
    environment: agent.environment,
    purpose: proof.purpose ?? signed?.purpose,
    task: proof.task ?? signed?.task,
    ip: proof.ip,
    ...(signed === undefined ? {} : signedPart(signed)),
    ...(live.scopes.includes(EVERYTHING) ? {} : { scopes: live.scopes }),
    token: { kind: "oauth", id: tokenId(live.hash), expiresAt: live.expiresAt },
  };
}

/** What the token says holds where the call says nothing; whether a call says something else is judged with its rules. */
function signedPart({ purpose, task, tenant, role }: SignedContext): Pick<Principal, "stated" | "signed"> {
  return { signed: { purpose, task, tenant, role }, stated: { tenant, role } };
}

function refused(reason: string, live?: LiveToken, agent?: string, kill?: KillInForce): Authentication {
  return { ok: false, reason, agent, keyId: live && tokenId(live.hash), kill };
}
