import type { Principal } from "../identity/principal.ts";
import { knowsService } from "../policy/check-agent.ts";
import type { CompiledMcpService, Snapshot } from "../policy/snapshot.ts";

/** The MCP servers that a principal may know of, by name. */
export function mcpServicesFor(snapshot: Snapshot, principal: Principal): readonly CompiledMcpService[] {
  const agent = snapshot.agents.get(principal.agent);
  return [...snapshot.services.values()]
    .filter((service) => service.kind === "mcp")
    .filter((service) => knowsService(agent, service, principal))
    .sort((a, b) => (a.config.name < b.config.name ? -1 : 1));
}

/** @returns `undefined` for a server that is not there and for one that the principal may not know of alike. */
export function findMcpService(snapshot: Snapshot, principal: Principal, name: string): CompiledMcpService | undefined {
  const service = snapshot.services.get(name);
  if (service?.kind !== "mcp") return undefined;
  return knowsService(snapshot.agents.get(principal.agent), service, principal) ? service : undefined;
}
