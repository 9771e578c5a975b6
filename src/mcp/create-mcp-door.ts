import type { Principal } from "../identity/principal.ts";
import { createDispatch, type Dispatch } from "./dispatch.ts";
import type { FaceDeps } from "./face.ts";
import { findMcpService } from "./known-services.ts";
import { createSubscriptions, type Subscriptions } from "./subscriptions.ts";
import type { Tool } from "./tool.ts";
import { createFindToolsTool } from "./tool-find-tools.ts";
import { createUpstreamFace } from "./upstream-face.ts";

/** All that speaks MCP to clients, whichever transport they come by. */
export interface McpDoor {
  readonly dispatch: Dispatch;
  readonly subscriptions: Subscriptions;
  /** Whether there is a `/mcp/SERVICE` for this caller. */
  serves(service: string, principal: Principal): boolean;
}

/** @param tools - Doorward's own, in the order in which they are listed. */
export function createMcpDoor(deps: FaceDeps & { readonly tools: readonly Tool[] }): McpDoor {
  const tools = [...deps.tools, createFindToolsTool(deps)];
  const own = createDispatch(deps.server, tools, deps.fault);
  const subscriptions = createSubscriptions(deps);
  const names = new Set(tools.map(({ definition }) => definition.name));
  return {
    dispatch: createUpstreamFace(deps, subscriptions, own, names),
    subscriptions,
    serves: (service, principal) => findMcpService(deps.snapshot(), principal, service) !== undefined,
  };
}
