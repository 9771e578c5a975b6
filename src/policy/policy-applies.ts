import type { Effect } from "../config/schema.ts";
import type { Principal } from "../identity/principal.ts";
import { anyMatches } from "./glob.ts";
import type { LazyAddress } from "./network.ts";
import type { CompiledPolicy } from "./snapshot.ts";

/** What the plain conditions of a policy look at. */
export interface Circumstances {
  readonly principal: Principal;
  /** The stated purpose, or the only one that the agent has. */
  readonly purpose: string | undefined;
  /** That of the principal, else that of the service; when both have one they are equal. */
  readonly environment: string | undefined;
  readonly address: LazyAddress;
  readonly now: Date;
}

/** A condition that keeps a policy from speaking about a call. */
export type Mismatch =
  | "agents"
  | "tenants"
  | "environments"
  | "purposes"
  | "effects"
  | "networks"
  | "hours"
  | "expires";

/**
 * The first plain condition of a policy that does not hold; `undefined` when all hold, and then `when` decides.
 *
 * What is not stated (a tenant, a purpose) is in no list.
 */
export function findMismatch(policy: CompiledPolicy, effect: Effect, call: Circumstances): Mismatch | undefined {
  const { principal, purpose, environment, address, now } = call;
  const { agents, tenants, environments, purposes, effects, networks, hours, config } = policy;
  if (effects !== undefined && !effects.has(effect)) return "effects";
  if (agents !== undefined && !anyMatches(agents, principal.agent)) return "agents";
  if (tenants !== undefined && !stated(tenants, principal.tenant)) return "tenants";
  if (environments !== undefined && !stated(environments, environment)) return "environments";
  if (purposes !== undefined && !stated(purposes, purpose)) return "purposes";
  if (config.expires !== undefined && now >= config.expires) return "expires";
  if (networks !== undefined && !networks.contains(address())) return "networks";
  if (hours !== undefined && !hours.contains(now)) return "hours";
  return undefined;
}

function stated(globs: NonNullable<CompiledPolicy["tenants"]>, value: string | undefined): boolean {
  return value !== undefined && anyMatches(globs, value);
}
