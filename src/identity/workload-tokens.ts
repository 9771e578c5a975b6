import type { JWTPayload } from "jose";
import type { JsonObject } from "../base/json.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { ClaimMapping, TrustedIssuerConfig } from "../config/schema.ts";
import { hashKey } from "./api-key.ts";
import type { AgentFacts, Authentication, KillInForce } from "./authenticate.ts";
import type { CallerProof, TokenVerifier } from "./authenticate-caller.ts";
import type { ForeignTokens } from "./foreign-tokens.ts";
import type { IssuerKeys } from "./issuer-keys.ts";
import type { Principal } from "./principal.ts";

/** Characters; what is longer is not even decoded. */
const TOKEN_LENGTH_LIMIT = 16 * 1024;
/** Seconds by which clocks may differ. */
const CLOCK_TOLERANCE_SECONDS = 60;
/** Verified tokens in memory; the one verified first makes room. */
const VERIFIED_LIMIT = 10_000;
/** Asymmetric ones alone: what signs must not be what anybody can read. */
const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];
/** What would lead us to somebody else's key, or to a meaning that we do not know (RFC 7515 §4.1). */
const REFUSED_HEADERS = ["jku", "x5u", "jwk", "x5c", "crit", "b64"];
const TYPES = ["jwt", "at+jwt"];
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

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
      if (token.length > TOKEN_LENGTH_LIMIT || !JWT.test(token)) return undefined;
      const hash = hashKey(token);
      const known = verified.get(hash);
      if (known !== undefined && deps.issuers().get(known.issuer.name) === known.issuer) {
        return admit(deps, known, proof);
      }
      const issuer = issuerOf(token, deps.issuers());
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
  const principal: Principal = {
    agent: name,
    client,
    user: undefined,
    tenant: agent.tenant,
    environment: agent.environment,
    purpose: proof.purpose,
    task: proof.task,
    ip: proof.ip,
    token: { kind: "workload", id, expiresAt },
  };
  if (deps.tokens.isDenied(id)) return { ...refused("revoked", token), kill: deps.killOf(principal) };
  deps.tokens.seen({ id, kind: "workload", agent: name, client, expiresAt }, now);
  return { ok: true, principal };
}

/** The issuer that a token names, believed only when one of its keys has signed it. */
function issuerOf(token: string, issuers: ReadonlyMap<string, TrustedIssuerConfig>): TrustedIssuerConfig | undefined {
  if (issuers.size === 0) return undefined;
  const iss = decodePart(token, 1)?.["iss"];
  for (const issuer of issuers.values()) if (issuer.issuer === iss) return issuer;
  return undefined;
}

/** The header (0) or the claims (1) of a JWT, unverified; `undefined` for what is none. */
function decodePart(token: string, part: 0 | 1): JsonObject | undefined {
  const text = Buffer.from(token.split(".")[part] ?? "", "base64url");
  const parsed = parseStrictJson(text);
  const { value } = parsed.ok ? parsed : { value: null };
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

interface Presented {
  readonly token: string;
  readonly hash: string;
  readonly issuer: TrustedIssuerConfig;
  readonly now: Date;
}

/** Never rejects: whatever goes wrong is a fault, and nobody is let in. */
async function verifyToken(keys: IssuerKeys, presented: Presented): Promise<Verification> {
  const { token, hash, issuer, now } = presented;
  try {
    const header = decodePart(token, 0);
    if (header === undefined || typeof header["alg"] !== "string") return { fault: "malformed" };
    if (REFUSED_HEADERS.some((name) => Object.hasOwn(header, name))) return { fault: "header_not_allowed" };
    const { typ = "JWT" } = header;
    if (typeof typ !== "string" || !TYPES.includes(typ.toLowerCase())) return { fault: "wrong_type" };
    const payload = await verifySignature(keys, presented);
    if (typeof payload.exp !== "number") return { fault: "no_expiry" };
    if (payload.iat !== undefined && payload.iat > now.getTime() / 1_000 + CLOCK_TOLERANCE_SECONDS) {
      return { fault: "not_yet_valid" };
    }
    const agents = new Set(issuer.agents.filter((mapping) => holds(mapping, payload)).map(({ agent }) => agent));
    const [agent] = agents;
    if (agent === undefined) return { fault: "no_agent" };
    if (agents.size > 1) return { fault: "several_agents" };
    const subject = typeof payload.sub === "string" ? payload.sub : "";
    return {
      id: `wlt_${hash.slice(0, 32)}`,
      issuer,
      agent,
      client: `workload:${issuer.name}#${printable(subject)}`,
      expiresAt: new Date(payload.exp * 1_000),
    };
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

async function verifySignature(keys: IssuerKeys, { token, issuer, now }: Presented): Promise<JWTPayload> {
  const options = {
    issuer: issuer.issuer,
    audience: [...issuer.audience],
    algorithms: ALGORITHMS,
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    currentDate: now,
    requiredClaims: ["exp"],
  };
  // Loaded when it is needed, so that a start without such issuers does not wait for it.
  const { errors, jwtVerify } = await import("jose");
  try {
    return (await jwtVerify(token, await keys.current(issuer, now), options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
    return (await jwtVerify(token, await keys.renewed(issuer, now), options)).payload;
  }
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

/** One word for the evidence. The codes are those of `jose`. */
function faultOf(error: unknown): string {
  const { code, claim } = error as { readonly code?: unknown; readonly claim?: unknown };
  if (typeof code !== "string" || !code.startsWith("ERR_J")) return "keys_unavailable";
  if (code === "ERR_JWT_EXPIRED") return "expired";
  return typeof claim === "string" ? `claim_${claim.slice(0, 32)}` : code.slice(0, 64).toLowerCase();
}

function refused(reason: string, token?: Verified): Extract<Authentication, { ok: false }> {
  return { ok: false, reason, agent: token?.agent, keyId: token?.id };
}
