import type { McpServiceConfig } from "../config/schema.ts";
import type { Principal } from "../identity/principal.ts";

/** Proof of nothing: no token stands behind a server that Doorward started itself. */
const NEVER = new Date(8_640_000_000_000_000);

/** Who a started server is when it makes a request of its own. Names of agents have no colon, so it is no agent. */
export function serverPrincipal({ name, tenant, environment }: McpServiceConfig): Principal {
  const id = `service:${name}`;
  return {
    agent: id,
    client: "sandbox",
    user: undefined,
    tenant,
    environment,
    purpose: undefined,
    task: undefined,
    ip: "unix",
    token: { kind: "api_key", id, expiresAt: NEVER },
  };
}
