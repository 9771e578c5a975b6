import { agentPrincipal } from "./agent-principal.ts";
import type { AgentFacts, Authentication, AuthenticationRequest } from "./authenticate.ts";
import type { ClientCertificate } from "./client-certificate.ts";
import type { ForeignTokens } from "./foreign-tokens.ts";

/** An agent of the file, as far as a certificate can prove it. */
interface CertifiedAgent extends AgentFacts {
  readonly name: string;
  /** URIs and subjects of its certificates, as `agents.NAME.certificates` lists them. */
  readonly certificates?: readonly string[];
}

/** The agents of the rules in force, by name. */
type Agents = ReadonlyMap<string, { readonly config: CertifiedAgent }>;

export type CertificateAuthenticator = (
  certificate: ClientCertificate,
  request: AuthenticationRequest,
) => Authentication;

/**
 * Makes the function that turns a verified client certificate into a principal.
 *
 * A certificate proves the agent that lists its URI or its whole subject. One with several URIs, or whose names lead to
 * different agents, proves none (SPIFFE X.509-SVID §2 allows exactly one URI).
 *
 * @param deps.agents - Those of the rules in force; the same map while these do not change.
 * @returns A function that never throws. Validity and refusals are judged at every use: a connection may outlive both.
 */
export function createCertificateAuthenticator(deps: {
  readonly agents: () => Agents;
  readonly tokens: Pick<ForeignTokens, "isDenied" | "seen">;
}): CertificateAuthenticator {
  const indexes = new WeakMap<Agents, CertificateIndex>();
  const indexOf = (agents: Agents) => {
    const known = indexes.get(agents);
    if (known !== undefined) return known;
    const index = indexAgents(agents);
    indexes.set(agents, index);
    return index;
  };

  return (certificate, request) => {
    const { now } = request;
    const { id, uris, subject, startsAt, expiresAt } = certificate;
    if (uris.length > 1) return refused("certificate_several_uris", certificate);
    const index = indexOf(deps.agents());
    const identity = [...uris, subject].find((name) => index.has(name));
    const agent = identity === undefined ? undefined : index.get(identity);
    if (identity === undefined || agent === undefined) return refused("unknown_certificate", certificate);
    const ambiguous = [...uris, subject].some((name) => index.has(name) && index.get(name) !== agent);
    if (ambiguous) return refused("certificate_ambiguous", certificate);
    if (now < startsAt) return refused("certificate_not_yet_valid", certificate, agent);
    if (now >= expiresAt) return refused("certificate_expired", certificate, agent);
    if (deps.tokens.isDenied(id)) return refused("revoked", certificate, agent);
    const client = `mtls:${printable(identity)}`;
    deps.tokens.seen({ id, kind: "certificate", agent: agent.name, client, expiresAt }, now);
    const token = { kind: "certificate", id, expiresAt } as const;
    return { ok: true, principal: agentPrincipal(agent, request, { agent: agent.name, client, token }) };
  };
}

/** By URI or subject. A name of two agents leads to `undefined`: to neither. */
type CertificateIndex = ReadonlyMap<string, CertifiedAgent | undefined>;

function indexAgents(agents: Agents): CertificateIndex {
  const index = new Map<string, CertifiedAgent | undefined>();
  for (const { config: agent } of agents.values()) {
    for (const name of agent.certificates ?? []) index.set(name, index.has(name) ? undefined : agent);
  }
  return index;
}

/** A client's name can be typed as the target of a kill: printable ASCII. */
function printable(name: string): string {
  return name.replaceAll(/[^\x21-\x7e]+/g, (text) => encodeURIComponent(text.toWellFormed()));
}

function refused(reason: string, { id }: ClientCertificate, agent?: CertifiedAgent): Authentication {
  return { ok: false, reason, agent: agent?.name, keyId: id };
}
