import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Surface } from "../upstreams/surface.ts";
import type { DispatchContext } from "./dispatch.ts";
import { exposedPrefix, nameTable, splitName } from "./exposed-names.ts";
import { type FaceDeps, relayOf } from "./face.ts";
import { findMcpService, mcpServicesFor } from "./known-services.ts";
import { namesOf } from "./list-items.ts";

/** An item by the upstream's own name. */
export interface ResolvedItem {
  readonly service: string;
  readonly name: string;
}

/**
 * What a name of the shared surface stands for. Whether there is such an item, and whether it may be called, is for the
 * broker: nobody learns it from here.
 *
 * @returns `undefined` when it has not the form of any service's item.
 */
export async function resolveItem(
  deps: FaceDeps,
  context: DispatchContext,
  shown: string,
  field: "tools" | "prompts",
): Promise<ResolvedItem | undefined> {
  const split = splitName(shown);
  if (split === undefined) return undefined;
  const service = serviceOf(deps, context, split.prefix);
  if (service === undefined) return { service: split.prefix, name: split.rest };
  const { name } = service.config;
  if (!split.maybeCut && name === split.prefix) return { service: name, name: split.rest };
  const surface = await surfaceIfAny(deps, context, service);
  const own = surface === undefined ? undefined : nameTable(name, namesOf(surface, field)).own.get(shown);
  return { service: name, name: own ?? split.rest };
}

function serviceOf(deps: FaceDeps, { principal }: DispatchContext, prefix: string): CompiledMcpService | undefined {
  const snapshot = deps.snapshot();
  return (
    findMcpService(snapshot, principal, prefix) ??
    mcpServicesFor(snapshot, principal).find(({ config }) => exposedPrefix(config.name) === prefix)
  );
}

/**
 * What the server offers, if it says so within the time of a call. This is before any decision: a server that does not answer
 * would hold its caller here.
 */
async function surfaceIfAny(
  deps: FaceDeps,
  context: DispatchContext,
  service: CompiledMcpService,
): Promise<Surface | undefined> {
  try {
    const { name, limits } = service.config;
    const surface = deps.upstreams.surface(service, context.principal, relayOf(context, name, {}));
    return await within(surface, limits.timeoutMs);
  } catch {
    // The call itself meets the same fault, and tells it.
    return undefined;
  }
}

async function within<T>(found: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise: late, resolve: giveUp } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => giveUp(undefined), ms);
  return Promise.race([found, late]).finally(() => clearTimeout(timer));
}
