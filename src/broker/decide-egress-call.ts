import type { EnvCredentialConfig } from "../config/schema.ts";
import { findPlaceholder } from "../credentials/inject-placeholder.ts";
import { type Decision, decide, type Question } from "../policy/decide.ts";
import { decideEgress, denyUndeclared, includesOrigin } from "../policy/decide-egress.ts";
import { deny } from "../policy/decision.ts";
import type { CompiledService } from "../policy/snapshot.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import type { CallRequest } from "./call-request.ts";

/**
 * Decides a request that came through the egress proxy: whether it may go, and whether the placeholder stands where it may.
 *
 * A placeholder out of its place denies what the rules would permit, and is named before what they would say else; only a
 * kill is named before it.
 */
export function decideEgressCall(question: Question, call: CallRequest): Decision {
  const decision = call.egress?.by === "server" ? decideEgress(question) : decideForAgent(question);
  if (decision.kind === "deny" && decision.code === "killed") return decision;
  const detail = placeholderFault(question, call);
  if (detail === undefined) return decision;
  return deny("denied", {
    rules: [`placeholder:${question.service.config.name}`],
    operations: decision.operations,
    reason: "placeholder",
    detail,
    remedy:
      "The owner can correct `hosts` and `place` of the service's credential, if this is how its program is to send it.",
  });
}

/** A command of an agent: its own rules hold, and a service's key goes to that service's own place alone. */
function decideForAgent(question: Question): Decision {
  const decision = decide(question);
  if (decision.kind === "deny") return decision;
  return denyUndeclared(question.service, question.request) ?? decision;
}

/** The credential whose key may go to where a request goes; `undefined` where none may. */
function credentialFor({ config }: CompiledService, { origin }: CanonicalRequest): EnvCredentialConfig | undefined {
  const { credential } = config;
  if (credential?.kind !== "env" || origin === undefined) return undefined;
  return includesOrigin(credential.hosts, origin, config.private) ? credential : undefined;
}

function placeholderFault({ service, request }: Question, { egress, raw }: CallRequest): string | undefined {
  if (egress === undefined || raw.kind === "mcp") return undefined;
  const sent = { headers: raw.headers, request };
  for (const placeholder of egress.foreign ?? []) {
    const finding = findPlaceholder(sent, placeholder, undefined);
    if (finding.kind === "refused") return `another service's ${finding.detail.replace(/^the /, "")}`;
  }
  if (egress.placeholder === undefined) return undefined;
  const finding = findPlaceholder(sent, egress.placeholder, credentialFor(service, request)?.place);
  return finding.kind === "refused" ? finding.detail : undefined;
}
