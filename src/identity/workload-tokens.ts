import type { JWTPayload } from "jose";
import type { ClaimMapping, TrustedIssuerConfig } from "../config/schema.ts";
import { agentPrincipal } from "./agent-principal.ts";
import { hashKey } from "./api-key.ts";
import type { AgentFacts, Authentication, KillInForce } from "./authenticate.ts";
import type { CallerProof, TokenVerifier } from "./authenticate-caller.ts";
import type { ForeignTokens } from "./foreign-tokens.ts";
import type { IssuerKeys } from "./issuer-keys.ts";
import type { Principal } from "./principal.ts";
import { CLOCK_TOLERANCE_SECONDS, isJwt, issuerNamedBy, verifyIssuerToken } from "./verify-issuer-token.ts";

/** Verified tokens in memory; the one verified first makes room. */
const VERIFIED_LIMIT = 10_000;
const TYPES = ["jwt", "at+jwt"];

/** A token whose signature and claims held, as long as its issuer's entry in the rules is the same one. */
interface Verified {
  readonly id: string;
  readonly issuer: TrustedIssuerConfig;
  readonly agent: string;
  readonly client: string;
  readonly expiresAt: Date;
}

type Verification = Verified | { readonly fault: string };

export interface WorkloadTokensDeps {
  /** Those of the rules in force. */
  readonly issuers: () => ReadonlyMap<string, TrustedIssuerConfig>;
  readonly agentOf: (name: string) => AgentFacts | undefined;
  readonly keys: IssuerKeys;
  readonly tokens: Pick<ForeignTokens, "isDenied" | "seen">;
  /** The kill in force that covers a caller. */
  readonly killOf: (principal: Principal) => KillInForce | undefined;
}

/**
 * Verifies tokens of trusted issuers: service accounts of Kubernetes, jobs of a CI system.
 *
 * Signature, issuer, audience and time are judged once; expiry, refusals and the mapping to an agent at every use.
 */
export function createWorkloadTokens(deps: WorkloadTokensDeps): TokenVerifier {
  const verified = new Map<string, Verified>();
  return {
    verify(token, proof) {
      if (!isJwt(token)) return undefined;
      const hash = hashKey(token);
      const known = verified.get(hash);
      if (known !== undefined && deps.issuers().get(known.issuer.name) === known.issuer) {
        return admit(deps, known, proof);
      }
      const issuer = issuerNamedBy(token, deps.issuers());
      if (issuer === undefined) return undefined;
      return verifyToken(deps.keys, { token, hash, issuer, now: proof.now }).then((result) => {
        if ("fault" in result) return refused(result.fault);
        verified.set(hash, result);
        if (verified.size > VERIFIED_LIMIT) verified.delete(verified.keys().next().value!);
        return admit(deps, result, proof);
      });
    },
  };
}

/** What is judged at every use. */
function admit(deps: WorkloadTokensDeps, token: Verified, proof: CallerProof): Authentication {
  const { id, agent: name, client, expiresAt } = token;
  const { now } = proof;
  if (now.getTime() >= expiresAt.getTime() + CLOCK_TOLERANCE_SECONDS * 1_000) return refused("expired", token);
  const agent = deps.agentOf(name);
  if (agent === undefined) return refused("unknown_agent", token);
  const principal = agentPrincipal(agent, proof, { agent: name, client, token: { kind: "workload", id, expiresAt } });
  if (deps.tokens.isDenied(id)) return { ...refused("revoked", token), kill: deps.killOf(principal) };
  deps.tokens.seen({ id, kind: "workload", agent: name, client, expiresAt }, now);
  return { ok: true, principal };
}

interface Presented {
  readonly token: string;
  readonly hash: string;
  readonly issuer: TrustedIssuerConfig;
  readonly now: Date;
}

async function verifyToken(keys: IssuerKeys, { token, hash, issuer, now }: Presented): Promise<Verification> {
  const { audience } = issuer;
  const result = await verifyIssuerToken(keys, { token, issuer, audience, types: TYPES, defaultType: "JWT", now });
  if ("fault" in result) return result;
  const { claims } = result;
  const agents = new Set(issuer.agents.filter((mapping) => holds(mapping, claims)).map(({ agent }) => agent));
  const [agent] = agents;
  if (agent === undefined) return { fault: "no_agent" };
  if (agents.size > 1) return { fault: "several_agents" };
  const subject = typeof claims.sub === "string" ? claims.sub : "";
  return {
    id: `wlt_${hash.slice(0, 32)}`,
    issuer,
    agent,
    client: `workload:${issuer.name}#${printable(subject)}`,
    expiresAt: new Date(Number(claims.exp) * 1_000),
  };
}

function holds({ claims }: ClaimMapping, payload: JWTPayload): boolean {
  return [...claims].every(([path, wanted]) => valuesAt(payload, path).some((value) => wanted.includes(value)));
}

/** A claim by its whole name, else by the names on the way to it. A list has each of its values. */
function valuesAt(payload: JWTPayload, path: string): readonly string[] {
  let found: unknown = payload;
  if (Object.hasOwn(payload, path)) found = payload[path];
  else {
    for (const name of path.split("/")) {
      if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) return [];
      found = (found as Record<string, unknown>)[name];
    }
  }
  return (Array.isArray(found) ? found : [found]).flatMap((value) =>
    typeof value === "string" || typeof value === "boolean" || Number.isSafeInteger(value) ? [String(value)] : [],
  );
}

/** Characters of a subject in a client's name. */
const SUBJECT_LIMIT = 256;

/** A client's name can be typed as the target of a kill: printable ASCII. */
function printable(subject: string): string {
  const short = subject.length > SUBJECT_LIMIT ? hashKey(subject) : subject.toWellFormed();
  return short.replaceAll(/[^\x21-\x7e]+/g, (text) => encodeURIComponent(text));
}

function refused(reason: string, token?: Verified): Extract<Authentication, { ok: false }> {
  return { ok: false, reason, agent: token?.agent, keyId: token?.id };
}
