import type { JsonObject } from "../base/json.ts";
import type { Effect } from "../config/schema.ts";
import type { Principal } from "../identity/principal.ts";
import { actingAgent } from "./acting-agent.ts";
import { type CelContext, NowView, PrincipalView, type RequestView } from "./cel-views.ts";
import { checkAgent, checkEnvironment, effectivePurpose, knowsService } from "./check-agent.ts";
import { isInScope } from "./check-scopes.ts";
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
  readonly kind: "http" | "mcp";
  readonly description?: string;
  readonly environment?: string;
  readonly operations: readonly VisibleOperation[];
}

export interface VisibleOperation {
  readonly scope: string;
  readonly effect: Effect;
  readonly approval: "never" | "sometimes" | "always";
  /** Of an HTTP API. */
  readonly endpoints?: readonly string[];
  /** Of an MCP server: patterns over its own names and URIs. */
  readonly tools?: readonly string[];
  readonly prompts?: readonly string[];
  readonly resources?: readonly string[];
  /** What query, body and arguments must be, where the operation says so. */
  readonly input_schema?: { readonly query?: JsonObject; readonly body?: JsonObject; readonly arguments?: JsonObject };
}

/** How surely a rule speaks about the calls of an operation, before there is one. */
export type Likelihood = "no" | "maybe" | "yes";

/**
 * What a principal may use now.
 *
 * Listed is an operation that some rule permits, or may permit depending on the request, and that none forbids
 * whatever the request is. An agent that may not act now, and a service that is stopped, list nothing.
 */
export function servicesFor(snapshot: Snapshot, principal: Principal, now: Date): readonly VisibleService[] {
  const services: VisibleService[] = [];
  for (const service of snapshot.services.values()) {
    const operations = callableOperations({ snapshot, principal, service, now })
      .filter(({ operation }) => service.kind === "http" || operation.items !== undefined)
      .map(visibleOperation);
    if (operations.length > 0) services.push(visibleService(service, operations));
  }
  return services.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** An operation that may be called, and how surely a person is asked. */
export interface CallableOperation {
  readonly operation: CompiledOperation;
  readonly asks: Likelihood;
}

/** The operations of one service that a principal may call now, or may depending on the request. */
export function callableOperations(question: {
  readonly snapshot: Snapshot;
  readonly principal: Principal;
  readonly service: CompiledService;
  readonly now: Date;
}): readonly CallableOperation[] {
  const { snapshot, principal, service, now } = question;
  const agent = actingAgent(snapshot, principal);
  const address = lazyAddress(principal.ip);
  if (agent === undefined || killOfPrincipal(snapshot.kills, principal) !== undefined) return [];
  if (checkAgent(agent, { principal, address, now }) !== undefined) return [];
  if (!knowsService(agent, service, principal)) return [];
  if (killOfService(snapshot.kills, service) !== undefined) return [];
  if (checkEnvironment(service, principal) !== undefined) return [];
  const environment = principal.environment ?? service.config.environment;
  const purpose = effectivePurpose(agent, principal);
  const circumstances = { principal, purpose, environment, address, now };
  return [...service.operations.values()]
    .filter(({ scope }) => killOfOperation(snapshot.kills, scope) === undefined && isInScope(principal, scope))
    .map((operation) => callable(operation, { service, agent, circumstances }))
    .filter((operation) => operation !== undefined);
}

interface Asking {
  readonly service: CompiledService;
  readonly agent: CompiledAgent;
  readonly circumstances: Circumstances;
}

function callable(operation: CompiledOperation, asking: Asking): CallableOperation | undefined {
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
  return strongest.permit === "no" || strongest.forbid === "yes" ? undefined : { operation, asks: strongest.ask };
}

function visibleOperation({ operation, asks }: CallableOperation): VisibleOperation {
  const { query, body, allow, tools, prompts, resources, arguments: args } = operation.config;
  const items = operation.items !== undefined;
  const schema = items
    ? { ...(args === undefined ? {} : { arguments: args }) }
    : { ...(query === undefined ? {} : { query }), ...(body === undefined ? {} : { body }) };
  return {
    scope: operation.scope,
    effect: operation.effect,
    approval: ({ no: "never", maybe: "sometimes", yes: "always" } as const)[asks],
    ...(items ? {} : { endpoints: allow }),
    ...(tools.length === 0 ? {} : { tools }),
    ...(prompts.length === 0 ? {} : { prompts }),
    ...(resources.length === 0 ? {} : { resources }),
    ...(Object.keys(schema).length === 0 ? {} : { input_schema: schema }),
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

function visibleService({ config, kind }: CompiledService, operations: readonly VisibleOperation[]): VisibleService {
  const { name, description, environment } = config;
  return {
    name,
    kind,
    ...(description === undefined ? {} : { description }),
    ...(environment === undefined ? {} : { environment }),
    operations,
  };
}
