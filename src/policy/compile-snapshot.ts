import type { AgentConfig, Config, Fault, RoleConfig } from "../config/schema.ts";
import { createExpressionCompiler } from "./compile-expression.ts";
import type { RuleIndexes } from "./compile-operation.ts";
import { compileHours, compileNetworkList, compilePolicy, type FaultList, indexByAgent } from "./compile-policy.ts";
import { compileService } from "./compile-service.ts";
import { digestOf } from "./digest.ts";
import { indexKills, type Kill } from "./kills.ts";
import { createScopeIndex } from "./scope-index.ts";
import type { CompiledAgent, CompiledPolicy, CompiledRole, CompiledService, Snapshot } from "./snapshot.ts";

/** What the file names and this folder cannot read. */
export interface SnapshotInputs {
  /** Contents (PEM) of the files under `tls.ca`, by path. Absent for a check that needs no connection. */
  readonly authorities?: ReadonlyMap<string, string>;
}

/**
 * Compiles a configuration into the rules that every call is decided on.
 *
 * All that can be found out before a call is: patterns, schemas, conditions and their types, networks, hours, the
 * closure of roles, and which rules speak of which operation and agent.
 *
 * @returns All faults at once, each with its path in the file. Never throws.
 */
export function compileSnapshot(config: Config, inputs: SnapshotInputs = {}): CompiledConfig {
  const steps = compileInSteps(config, inputs);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The rules, or all that is wrong with them. */
export type CompiledConfig =
  | { readonly ok: true; readonly snapshot: Snapshot }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/**
 * The same, a policy or an operation at a time, so that whoever serves calls meanwhile can let them have their turn.
 *
 * A step takes well under a millisecond, except for a schema or condition that is large itself.
 */
export function* compileInSteps(config: Config, inputs: SnapshotInputs = {}): Generator<void, CompiledConfig> {
  const faults: FaultList = [];
  const roles = compileRoles(config.roles);
  const compile = createExpressionCompiler();
  const policies: CompiledPolicy[] = [];
  for (const [index, policy] of config.policies.entries()) {
    policies.push(compilePolicy(policy, ["policies", index], { compile, faults }));
    yield;
  }
  const rules = compileRules(roles, policies);
  const services = new Map<string, CompiledService>();
  for (const [name, service] of config.services) {
    const ca = service.tls.ca === undefined ? undefined : inputs.authorities?.get(service.tls.ca);
    services.set(name, yield* compileService(service, { rules, faults, ca }));
  }
  const agents = new Map<string, CompiledAgent>();
  for (const [name, agent] of config.agents) {
    agents.set(name, compileAgent(agent, roles, faults));
    yield;
  }

  if (faults.length > 0) return { ok: false, faults };
  return { ok: true, snapshot: { id: digestOf(config), config, services, agents, kills: indexKills([]) } };
}

/** The same rules with other kills in force. Cheap: nothing is compiled again. */
export function withKills(snapshot: Snapshot, kills: readonly Kill[]): Snapshot {
  return { ...snapshot, kills: indexKills(kills) };
}

function compileRules(roles: Roles, policies: readonly CompiledPolicy[]): RuleIndexes {
  const byRole = createScopeIndex(
    [...roles.values()].map(({ role, config: { allow } }) => ({ rule: role, on: allow })),
  );
  const byPolicy = createScopeIndex(policies.map((policy) => ({ rule: policy, on: policy.config.on })));
  const everywhere = {
    roles: new Set(byRole.everywhere.map(({ name }) => name)),
    policies: indexByAgent(byPolicy.everywhere),
    permits: indexByAgent(byPolicy.everywhere.filter(({ effect }) => effect === "permit")),
  };
  return { roles: byRole, policies: byPolicy, everywhere };
}

type Roles = ReadonlyMap<string, { readonly role: CompiledRole; readonly config: RoleConfig }>;

function compileRoles(configs: ReadonlyMap<string, RoleConfig>): Roles {
  const roles = new Map<string, { role: CompiledRole; config: RoleConfig }>();
  for (const [name, config] of configs) {
    roles.set(name, { role: { name, rule: `role:${name}`, rate: config.rate }, config });
  }
  return roles;
}

function compileAgent(config: AgentConfig, roles: Roles, faults: FaultList): CompiledAgent {
  const at = ["agents", config.name];
  const closure = new Map<string, CompiledRole>();
  const waiting = [...config.roles];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const found = roles.get(name);
    // A name without a role, or a circle, is a fault of the file that `config/` reports.
    if (found === undefined || closure.has(name)) continue;
    closure.set(name, found.role);
    waiting.push(...found.config.extends);
  }
  const sorted = [...closure.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    config,
    roles: sorted,
    roleNames: sorted.map(({ name }) => name),
    networks: compileNetworkList(config.networks, [...at, "networks"], faults),
    hours: compileHours(config.hours, [...at, "hours"], faults),
  };
}
