import type { Fault, PolicyConfig } from "../config/schema.ts";
import type { CompileExpression, Expression } from "./compile-expression.ts";
import { digestOf } from "./digest.ts";
import { compileGlob, type Glob } from "./glob.ts";
import { type Hours, parseHours } from "./hours.ts";
import { compileNetworks, type Networks } from "./network.ts";
import type { AgentIndex, CompiledPolicy } from "./snapshot.ts";

/** What compilers of this folder write their faults to. */
export type FaultList = Fault[];

/** Compiles one policy; its faults are added to the list, and what they concern stands as matching nothing. */
export function compilePolicy(
  config: PolicyConfig,
  at: readonly (string | number)[],
  tools: { readonly compile: CompileExpression; readonly faults: FaultList },
): CompiledPolicy {
  const { compile, faults } = tools;
  if (config.effect === "forbid" && config.rate !== undefined) {
    faults.push({
      path: [...at, "rate"],
      problem: "a policy that forbids has nothing to count",
      remedy: "Remove `rate`, or put it on the role or policy that permits.",
    });
  }
  if (config.effect !== "ask" && config.approvers !== undefined) {
    faults.push({
      path: [...at, "approvers"],
      problem: `a policy that says \`${config.effect}\` asks nobody`,
      remedy: "Remove `approvers`, or write `effect: ask`.",
    });
  }
  return {
    config,
    rule: `policy:${config.id}`,
    effect: config.effect,
    agents: globs(config.agents),
    tenants: globs(config.tenants),
    environments: globs(config.environments),
    purposes: globs(config.purposes),
    effects: config.effects.length === 0 ? undefined : new Set(config.effects),
    networks: compileNetworkList(config.networks, [...at, "networks"], faults),
    hours: compileHours(config.hours, [...at, "hours"], faults),
    when: compileWhen(config.when, [...at, "when"], compile, faults),
    digest: digestOf(config),
  };
}

/** Indexes policies by the agents they name. */
export function indexByAgent(policies: readonly CompiledPolicy[]): AgentIndex {
  const any: CompiledPolicy[] = [];
  const byAgent = new Map<string, CompiledPolicy[]>();
  for (const policy of policies) {
    const { agents } = policy;
    if (agents === undefined || agents.some(({ literal }) => !literal)) {
      any.push(policy);
      continue;
    }
    for (const agent of new Set(agents.map(({ text }) => text))) {
      const known = byAgent.get(agent);
      if (known === undefined) byAgent.set(agent, [policy]);
      else known.push(policy);
    }
  }
  return { any, byAgent };
}

/** Compiles a list of CIDR blocks; empty means any. */
export function compileNetworkList(
  blocks: readonly string[],
  at: readonly (string | number)[],
  faults: FaultList,
): Networks | undefined {
  if (blocks.length === 0) return undefined;
  const { networks, bad } = compileNetworks(blocks);
  for (const index of bad) {
    faults.push({
      path: [...at, index],
      problem: `\`${blocks[index]}\` is not a network`,
      remedy: "Write a CIDR block such as `10.0.0.0/8`.",
    });
  }
  return networks;
}

/** Compiles a weekly window; absent means always. */
export function compileHours(
  text: string | undefined,
  at: readonly (string | number)[],
  faults: FaultList,
): Hours | undefined {
  if (text === undefined) return undefined;
  const parsed = parseHours(text);
  if (parsed.ok) return parsed.hours;
  faults.push({ path: at, problem: parsed.problem, remedy: "Write `Mon-Fri 08:00-19:00 Europe/Berlin`." });
  return { text, contains: () => false };
}

function compileWhen(
  text: string | undefined,
  at: readonly (string | number)[],
  compile: CompileExpression,
  faults: FaultList,
): Expression | undefined {
  if (text === undefined) return undefined;
  const compiled = compile(text);
  if (compiled.ok) return compiled.expression;
  faults.push({ path: at, problem: compiled.problem, remedy: compiled.remedy });
  return undefined;
}

function globs(names: readonly string[]): readonly Glob[] | undefined {
  return names.length === 0 ? undefined : names.map(compileGlob);
}
