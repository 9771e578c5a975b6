import type { AgentFacts, AuthenticationRequest } from "./authenticate.ts";
import type { Principal } from "./principal.ts";

/**
 * The principal of an agent that acts for no user: proven by a key, a certificate or a workload's token of its own.
 *
 * @param agent - What the rules in force say of it: a proof says nothing of tenant and environment.
 * @param said - By the caller; judged with the rules of its call.
 */
export function agentPrincipal(
  agent: AgentFacts,
  said: Pick<AuthenticationRequest, "purpose" | "task" | "ip">,
  proof: Pick<Principal, "agent" | "client" | "scopes" | "token">,
): Principal {
  return {
    agent: proof.agent,
    client: proof.client,
    user: undefined,
    tenant: agent.tenant,
    environment: agent.environment,
    purpose: said.purpose,
    task: said.task,
    ip: said.ip,
    ...(proof.scopes === undefined ? {} : { scopes: proof.scopes }),
    token: proof.token,
  };
}
