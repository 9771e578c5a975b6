import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Surface } from "../upstreams/surface.ts";
import type { DispatchContext } from "./dispatch.ts";
import { type FaceDeps, relayOf } from "./face.ts";
import { notificationMessage } from "./json-rpc.ts";

/** How long a listing waits for servers that are slow to start. */
const WAIT_MS = 8_000;

export interface OfferedSurface {
  readonly service: CompiledMcpService;
  readonly surface: Surface;
}

/**
 * Asks servers what they offer, all at once.
 *
 * A server that fails or is slow is left out, so that it hides no other's items; when it comes later, the client is
 * told that the lists have changed.
 *
 * @returns In the order asked for. Never rejects.
 */
export async function collectSurfaces(
  deps: FaceDeps,
  context: DispatchContext,
  services: readonly CompiledMcpService[],
): Promise<{ readonly offered: readonly OfferedSurface[]; readonly complete: boolean }> {
  const { promise: late, resolve: giveUp } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => giveUp(undefined), WAIT_MS);
  const found = await Promise.all(
    services.map(async (service) => {
      const asked = surfaceOf(deps, context, service);
      const surface = await Promise.race([asked, late]);
      if (surface === undefined) void asked.then((came) => came !== undefined && tellChanged(context));
      return surface === undefined ? undefined : { service, surface };
    }),
  );
  clearTimeout(timer);
  const offered = found.filter((surface) => surface !== undefined);
  return { offered, complete: offered.length === services.length };
}

/** What one server offers; `undefined` when it cannot be had. Its client hears of it from then on. */
async function surfaceOf(
  deps: FaceDeps,
  context: DispatchContext,
  service: CompiledMcpService,
): Promise<Surface | undefined> {
  const relay = relayOf(context, service.config.name, {});
  try {
    const surface = await deps.upstreams.surface(service, context.principal, relay);
    listenFor(deps, context, service.config.name);
    return surface;
  } catch {
    // What is wrong with it is shown by `doorward status`; a listing names what there is.
    return undefined;
  }
}

/** A client with a session hears what a server that it has seen says from then on, until the session ends. */
export function listenFor(deps: FaceDeps, context: DispatchContext, service: string): void {
  const { session, era } = context;
  if (session === undefined || era === "modern" || session.listening?.has(service)) return;
  session.listening ??= new Map();
  // Of the session and not of this request, which it outlives.
  const lasting = { ...context, request: undefined, response: undefined, signal: undefined };
  session.listening.set(service, deps.upstreams.listen(service, relayOf(lasting, service, {})));
}

function tellChanged({ session, era }: DispatchContext): void {
  if (era === "legacy") session?.push?.(notificationMessage("notifications/tools/list_changed", {}));
}
