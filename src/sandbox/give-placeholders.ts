import { Problem } from "../base/problem.ts";
import { pairingsOf } from "../config/credential-pairings.ts";
import { makePlaceholder, type Placeholder, watchPlaceholder } from "../credentials/placeholder.ts";
import type { Principal } from "../identity/principal.ts";
import { knowsService } from "../policy/check-agent.ts";
import { denyUnknownService } from "../policy/decision.ts";
import type { CompiledService, Snapshot } from "../policy/snapshot.ts";
import type { Lease } from "../vault/create-vault.ts";

/** What a variable of a command holds. */
export interface GivenPlaceholder {
  /** Of the variable. */
  readonly name: string;
  readonly service: string;
  readonly value: string;
  /** Absent where nothing looks for it: an API's key is put on each request, whatever stands there. */
  readonly placeholder: Placeholder | undefined;
}

export interface ExecVault {
  lease(ref: string, pairing: { readonly service: string; readonly origin: string }, now: Date): Lease | Promise<Lease>;
}

/**
 * Makes what a command finds in its variables in place of the keys of services.
 *
 * A service that the agent may not know of is answered as if there were none. Keys are read for their shape alone.
 *
 * @throws {Problem} `unknown_service`, `invalid_request` for a service without such a key, `secret_unavailable`.
 */
export async function givePlaceholders(
  deps: { readonly snapshot: () => Snapshot; readonly vault: ExecVault; readonly now: () => Date },
  principal: Principal,
  asked: readonly { readonly name: string; readonly service: string }[],
): Promise<readonly GivenPlaceholder[]> {
  const made = new Map<string, Omit<GivenPlaceholder, "name">>();
  for (const { service: name } of asked) {
    if (made.has(name)) continue;
    const { services, agents } = deps.snapshot();
    const service = services.get(name);
    if (service === undefined || !knowsService(agents.get(principal.agent), service, principal)) throw unknown(name);
    const [pairing] = hasKey(service) ? pairingsOf(service.config) : [];
    if (pairing === undefined) throw keyless(name);
    const lease = await deps.vault.lease(pairing.ref, pairing, deps.now());
    const value = makePlaceholder(lease.secret);
    made.set(name, { service: name, value, placeholder: service.kind === "mcp" ? watchPlaceholder(value) : undefined });
  }
  return asked.map(({ name, service }) => ({ name, ...made.get(service)! }));
}

function hasKey({ config }: CompiledService): boolean {
  return config.kind === "http" ? config.credential !== undefined : config.credential?.kind === "env";
}

function unknown(name: string): Problem {
  const { detail, remedy, reason } = denyUnknownService(name, "no_such_service");
  return new Problem("unknown_service", { detail, remedy, reason });
}

function keyless(name: string): Problem {
  return new Problem("invalid_request", {
    detail: `the service \`${name}\` has no credential that a command could use`,
    remedy: "Name an HTTP API with a credential, or an MCP server whose credential has `kind: env`.",
  });
}
