import type { Principal } from "../identity/principal.ts";
import type { CompiledAgent, Snapshot } from "./snapshot.ts";

/**
 * The agent as it acts in this call: with all its roles, or with the one that the call states, and what that one extends.
 *
 * A role that is not the agent's gives nothing; that it was stated is refused by `checkAgent`.
 *
 * @returns `undefined` when the rules have no such agent.
 */
export function actingAgent(snapshot: Snapshot, { agent: name, stated }: Principal): CompiledAgent | undefined {
  const agent = snapshot.agents.get(name);
  if (agent === undefined || stated?.role === undefined) return agent;
  const closure = closureOf(snapshot, stated.role);
  const roles = agent.roleNames.includes(stated.role) ? agent.roles.filter((role) => closure.has(role.name)) : [];
  return { ...agent, roles, roleNames: roles.map((role) => role.name) };
}

/** A role and all that it extends. */
function closureOf({ config }: Snapshot, name: string): ReadonlySet<string> {
  const closure = new Set<string>();
  const waiting = [name];
  for (let role = waiting.pop(); role !== undefined; role = waiting.pop()) {
    if (closure.has(role)) continue;
    closure.add(role);
    waiting.push(...(config.roles.get(role)?.extends ?? []));
  }
  return closure;
}
