import { agentPrincipal } from "./agent-principal.ts";
import { DEFAULT_ENVIRONMENT, parseApiKey } from "./api-key.ts";
import type { ApiKeys, LiveKey } from "./api-keys.ts";
import type { Principal } from "./principal.ts";

/** What the rules in force say of an agent, as far as its identity needs it. */
export interface AgentFacts {
  readonly tenant?: string | undefined;
  readonly environment?: string | undefined;
}

/** Why an API key was refused. */
export type AuthenticationFault =
  | "missing"
  | "malformed"
  | "mistyped"
  | "unknown"
  | "revoked"
  | "expired"
  | "unknown_agent"
  | "environment_mismatch";

export type Authentication =
  | { readonly ok: true; readonly principal: Principal }
  /** `agent` and `keyId` are known only where the token itself was a real one. */
  | {
      readonly ok: false;
      /** One word for the audit and the command line alone: the wire says the same words for all. */
      readonly reason: string;
      /** Said on the wire where the token is bound to a key, and its proof is what is wrong (RFC 9449 §7.1). */
      readonly proof?: ProofFault | undefined;
      readonly agent: string | undefined;
      readonly keyId: string | undefined;
      /** Why it was taken back, while that is in force: the caller is told of the kill instead. */
      readonly kill?: KillInForce | undefined;
    };

/** A proof of possession that is missing or wrong. */
export interface ProofFault {
  /** For a better proof, where that is what it lacks. */
  readonly nonce: string | undefined;
}

/** A stop order, as far as a caller is told of it. */
export interface KillInForce {
  readonly target: string;
  readonly setBy: string;
}

export interface AuthenticationRequest {
  /** As found by `tokenFromRequest`. */
  readonly token: string | undefined;
  /** Of the peer, or of the client as a trusted proxy names it; `unix` for the local socket. */
  readonly ip: string;
  readonly purpose: string | undefined;
  readonly task: string | undefined;
  readonly now: Date;
}

export type Authenticate = (request: AuthenticationRequest) => Authentication;

/**
 * Makes the function that turns an API key into a principal.
 *
 * Everything is judged at every use, from memory: a key that was revoked, or whose agent left the file or changed its
 * environment, is refused at its next call.
 *
 * @param deps.agentOf - Reads the snapshot in force: the agent's facts, or `undefined` when the file has no such agent.
 * @returns A function that never throws.
 */
export function createAuthenticator(deps: {
  readonly keys: Pick<ApiKeys, "find" | "used">;
  readonly agentOf: (name: string) => AgentFacts | undefined;
}): Authenticate {
  return (request) => {
    const { token, now } = request;
    if (token === undefined || token === "") return refused("missing");
    const key = deps.keys.find(token);
    if (key === undefined) return refused(faultOfForm(token));
    if (key.revokedAt !== undefined) return refused("revoked", key);
    if (key.expiresAt <= now) return refused("expired", key);
    const agent = deps.agentOf(key.agent);
    if (agent === undefined) return refused("unknown_agent", key);
    if (key.environment !== (agent.environment ?? DEFAULT_ENVIRONMENT)) return refused("environment_mismatch", key);
    deps.keys.used(key, now);
    return { ok: true, principal: agentPrincipal(agent, request, proofOf(key)) };
  };
}

function proofOf({ agent, id, scopes, expiresAt }: LiveKey): Parameters<typeof agentPrincipal>[2] {
  return { agent, client: id, scopes, token: { kind: "api_key", id, expiresAt } };
}

function faultOfForm(token: string): AuthenticationFault {
  const parsed = parseApiKey(token);
  return parsed.ok ? "unknown" : parsed.reason;
}

function refused(reason: AuthenticationFault, key?: LiveKey): Authentication {
  return { ok: false, reason, agent: key?.agent, keyId: key?.id };
}
