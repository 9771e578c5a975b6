import type { Principal } from "../identity/principal.ts";
import { anyMatches } from "./glob.ts";
import type { LazyAddress } from "./network.ts";
import type { CompiledAgent, CompiledPolicy, CompiledService } from "./snapshot.ts";

/** Why an agent may not act now, whatever it asks for. */
export interface AgentRefusal {
  /** One clause for the caller. */
  readonly detail: string;
  readonly remedy: string;
  /** For the audit. */
  readonly reason: string;
}

/** The purpose that counts: the stated one, else the only one that the agent has. */
export function effectivePurpose(agent: CompiledAgent | undefined, principal: Principal): string | undefined {
  const { purposes = [] } = agent?.config ?? {};
  return principal.purpose ?? (purposes.length === 1 ? purposes[0] : undefined);
}

/** Whether the agent itself may act here and now: expiry, context, tenant, environment, network, hours. `undefined`: it may. */
export function checkAgent(
  agent: CompiledAgent,
  call: { readonly principal: Principal; readonly address: LazyAddress; readonly now: Date },
): AgentRefusal | undefined {
  const { principal, address, now } = call;
  const { name, expires, tenant, environment } = agent.config;
  if (expires !== undefined && now >= expires) {
    return refusal(
      "agent_expired",
      `the agent \`${name}\` has expired`,
      "Ask the owner to move `expires` of the agent.",
    );
  }
  if (tenant !== undefined && tenant !== principal.tenant) {
    return refusal("tenant_mismatch", "the key is of another tenant than the agent", "Ask the owner for a new key.");
  }
  const signed = checkSigned(principal);
  if (signed !== undefined) return signed;
  const { stated } = principal;
  if (stated?.tenant !== undefined && stated.tenant !== principal.tenant) {
    return refusal("stated_tenant", "the stated tenant is not the agent's", "State the agent's own tenant, or none.");
  }
  if (stated?.role !== undefined && !agent.roleNames.includes(stated.role)) {
    return refusal(
      "stated_role",
      "the stated role is not one of the agent's",
      "State one of the agent's roles, or none.",
    );
  }
  if (environment !== undefined && principal.environment !== undefined && environment !== principal.environment) {
    return refusal(
      "environment_mismatch",
      "the key is of another environment than the agent",
      "Ask the owner for a new key.",
    );
  }
  if (agent.networks !== undefined && !agent.networks.contains(address())) {
    return refusal(
      "network",
      "the agent may not call from this address",
      "Call from a network of the agent's `networks`.",
    );
  }
  if (agent.hours !== undefined && !agent.hours.contains(now)) {
    return refusal("hours", `the agent may act only \`${agent.hours.text}\``, "Call again within these hours.");
  }
  return undefined;
}

/** Whether a call states nothing but what its token was issued for, where that is said. */
function checkSigned({ signed, purpose, task, stated }: Principal): AgentRefusal | undefined {
  if (signed === undefined) return undefined;
  const differs = (one: string | undefined, other: string | undefined) => one !== undefined && one !== other;
  const part =
    (differs(signed.purpose, purpose) && "purpose") ||
    (differs(signed.task, task) && "task") ||
    (differs(signed.tenant, stated?.tenant) && "tenant") ||
    (differs(signed.role, stated?.role) && "role");
  if (part === false) return undefined;
  return refusal(
    "signed_context",
    `the call states another ${part} than its token was issued for`,
    `Leave the ${part} out, or use a token for it.`,
  );
}

/** Whether the purpose is one of the agent's. `undefined`: it is, or the agent is not restricted. */
export function checkPurpose(agent: CompiledAgent, principal: Principal): AgentRefusal | undefined {
  const { purposes } = agent.config;
  if (purposes.length === 0) return undefined;
  const listed = purposes.map((purpose) => `\`${purpose}\``).join(", ");
  const purpose = effectivePurpose(agent, principal);
  if (purpose === undefined) {
    return refusal("purpose_missing", "the agent has several purposes and none is stated", `State one of ${listed}.`);
  }
  if (purposes.includes(purpose)) return undefined;
  return refusal("purpose", "the stated purpose is not one of the agent's", `State one of ${listed}.`);
}

/** Whether the environments of caller and service differ; one that is not declared fits all. */
export function checkEnvironment(service: CompiledService, principal: Principal): AgentRefusal | undefined {
  const { environment } = service.config;
  if (environment === undefined || principal.environment === undefined || environment === principal.environment) {
    return undefined;
  }
  return refusal(
    "service_environment",
    `the service is \`${environment}\`, the key is for \`${principal.environment}\``,
    "Use a key of the service's environment.",
  );
}

/**
 * Whether any rule could ever let this principal use anything of the service.
 *
 * A service that it may not know of is answered as if there were none. Rules that depend on the moment or the request
 * count as if they held.
 */
export function knowsService(
  agent: CompiledAgent | undefined,
  service: CompiledService,
  principal: Principal,
): boolean {
  if (agent === undefined) return false;
  const { tenant } = service.config;
  if (tenant !== undefined && tenant !== principal.tenant) return false;
  if (service.operations.size === 0) return false;
  const { givers, everywhere } = service;
  if (agent.roles.some(({ name }) => givers.roles.has(name) || everywhere.roles.has(name))) return true;
  return [givers.policies, everywhere.permits].some(({ any, byAgent }) =>
    [any, byAgent.get(principal.agent) ?? []].some((policies) => policies.some((policy) => mayName(policy, principal))),
  );
}

/** Whether a policy names this agent and tenant, or any. */
function mayName({ agents, tenants }: CompiledPolicy, { agent, tenant }: Principal): boolean {
  if (agents !== undefined && !anyMatches(agents, agent)) return false;
  return tenants === undefined || (tenant !== undefined && anyMatches(tenants, tenant));
}

function refusal(reason: string, detail: string, remedy: string): AgentRefusal {
  return { reason, detail, remedy };
}
