import type { JsonObject } from "../base/json.ts";
import type { Effect } from "../config/schema.ts";
import type { Principal } from "../identity/principal.ts";
import { type CelContext, NowView, PrincipalView, type RequestView } from "./cel-views.ts";
import { checkAgent, checkEnvironment, effectivePurpose, knowsService } from "./check-agent.ts";
import { killOfOperation, killOfPrincipal, killOfService } from "./kills.ts";
import { lazyAddress } from "./network.ts";
import { type Circumstances, findMismatch } from "./policy-applies.ts";
import type {
  AgentIndex,
  CompiledAgent,
  CompiledOperation,
  CompiledPolicy,
  CompiledService,
  Snapshot,
} from "./snapshot.ts";
import { utcClock } from "./zone-clock.ts";

/** A service and what of it a principal may use: one entry of `doorward_services`. Field names are those of the wire. */
export interface VisibleService {
  readonly name: string;
  readonly kind: "http";
  readonly description?: string;
  readonly environment?: string;
  readonly operations: readonly VisibleOperation[];
}

export interface VisibleOperation {
  readonly scope: string;
  readonly effect: Effect;
  readonly approval: "never" | "sometimes" | "always";
  readonly endpoints: readonly string[];
  /** What query and body must be, where the operation says so. */
  readonly input_schema?: { readonly query?: JsonObject; readonly body?: JsonObject };
}

/** How surely a rule speaks about the calls of an operation, before there is one. */
type Likelihood = "no" | "maybe" | "yes";

/**
 * What a principal may use now.
 *
 * Listed is an operation that some rule permits, or may permit depending on the request, and that none forbids
 * whatever the request is. An agent that may not act now, and a service that is stopped, list nothing.
 */
export function servicesFor(snapshot: Snapshot, principal: Principal, now: Date): readonly VisibleService[] {
  const agent = snapshot.agents.get(principal.agent);
  const address = lazyAddress(principal.ip);
  if (agent === undefined || killOfPrincipal(snapshot.kills, principal) !== undefined) return [];
  if (checkAgent(agent, { principal, address, now }) !== undefined) return [];

  const services: VisibleService[] = [];
  for (const service of snapshot.services.values()) {
    if (!knowsService(agent, service, principal)) continue;
    if (killOfService(snapshot.kills, service) !== undefined) continue;
    if (checkEnvironment(service, principal) !== undefined) continue;
    const environment = principal.environment ?? service.config.environment;
    const purpose = effectivePurpose(agent, principal);
    const circumstances = { principal, purpose, environment, address, now };
    const operations = [...service.operations.values()]
      .filter(({ scope }) => killOfOperation(snapshot.kills, scope) === undefined)
      .map((operation) => visibleOperation(operation, { service, agent, circumstances }))
      .filter((operation) => operation !== undefined);
    if (operations.length > 0) services.push(visibleService(service, operations));
  }
  return services.sort((a, b) => (a.name < b.name ? -1 : 1));
}

interface Asking {
  readonly service: CompiledService;
  readonly agent: CompiledAgent;
  readonly circumstances: Circumstances;
}

function visibleOperation(operation: CompiledOperation, asking: Asking): VisibleOperation | undefined {
  const { service, agent } = asking;
  const strongest = { permit: "no", ask: "no", forbid: "no" } as Record<CompiledPolicy["effect"], Likelihood>;
  if (agent.roles.some(({ name }) => operation.rules.roles.has(name) || service.everywhere.roles.has(name))) {
    strongest.permit = "yes";
  }
  for (const policy of policiesOf([operation.rules.policies, service.everywhere.policies], agent)) {
    const likelihood = likelihoodOf(policy, operation, asking);
    if (likelihood === "yes" || strongest[policy.effect] === "no") strongest[policy.effect] = likelihood;
  }
  if (operation.config.approval !== undefined) strongest.ask = "yes";
  if (strongest.permit === "no" || strongest.forbid === "yes") return undefined;
  const { query, body, allow } = operation.config;
  const schema = { ...(query === undefined ? {} : { query }), ...(body === undefined ? {} : { body }) };
  return {
    scope: operation.scope,
    effect: operation.effect,
    approval: ({ no: "never", maybe: "sometimes", yes: "always" } as const)[strongest.ask],
    endpoints: allow,
    ...(query === undefined && body === undefined ? {} : { input_schema: schema }),
  };
}

function policiesOf(indexes: readonly AgentIndex[], agent: CompiledAgent): readonly CompiledPolicy[] {
  return indexes.flatMap(({ any, byAgent }) => [...any, ...(byAgent.get(agent.config.name) ?? [])]);
}

function likelihoodOf(policy: CompiledPolicy, operation: CompiledOperation, asking: Asking): Likelihood {
  const { circumstances, agent } = asking;
  const mismatch = findMismatch(policy, operation.effect, circumstances);
  // A purpose may still be stated with the call.
  const open = mismatch === "purposes" && circumstances.principal.purpose === undefined;
  if (mismatch !== undefined && !open) return "no";
  const { when } = policy;
  if (open || when?.review.readsRequest === true) return "maybe";
  if (when === undefined) return "yes";
  const { principal, purpose, now } = circumstances;
  const context: Omit<CelContext, "request"> & { request: RequestView | undefined } = {
    principal: new PrincipalView(principal, { purpose, roles: agent.roleNames }),
    operation: operation.view,
    now: new NowView(now, utcClock),
    request: undefined,
  };
  try {
    return when.evaluate(context as CelContext) ? "yes" : "no";
  } catch {
    // An error denies the call when it comes; here it only keeps the listing from saying more than it knows.
    return "maybe";
  }
}

function visibleService({ config }: CompiledService, operations: readonly VisibleOperation[]): VisibleService {
  const { name, description, environment } = config;
  return {
    name,
    kind: "http",
    ...(description === undefined ? {} : { description }),
    ...(environment === undefined ? {} : { environment }),
    operations,
  };
}
