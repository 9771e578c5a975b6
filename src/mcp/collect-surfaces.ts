import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Surface } from "../upstreams/surface.ts";
import type { DispatchContext } from "./dispatch.ts";
import { type FaceDeps, relayOf } from "./face.ts";
import { notificationMessage } from "./json-rpc.ts";

/** How long a listing waits for servers that are slow to start. */
const WAIT_MS = 8_000;

/** Who asked: a listing of all servers goes without one that lately did not answer; who names a server waits for it. */
export type ListingOf = "all" | "named";

export interface OfferedSurface {
  readonly service: CompiledMcpService;
  readonly surface: Surface;
}

/**
 * Asks servers what they offer, all at once.
 *
 * A server that fails or is slow is left out, so that it hides no other's items; when it comes later, the client is
 * told that the lists have changed. One that was slow lately is asked, and not waited for.
 *
 * @returns In the order asked for. Never rejects.
 */
export async function collectSurfaces(
  deps: FaceDeps,
  context: DispatchContext,
  services: readonly CompiledMcpService[],
  listing: ListingOf,
): Promise<{ readonly offered: readonly OfferedSurface[]; readonly complete: boolean }> {
  const { silent } = deps.upstreams;
  const { agent } = context.principal;
  const { promise: late, resolve: giveUp } = Promise.withResolvers<typeof LATE>();
  const timer = setTimeout(() => giveUp(LATE), WAIT_MS);
  const found = await Promise.all(
    services.map(async (service) => {
      const server = { service: service.config.name, agent };
      const isSilent = listing === "all" && silent.isSilent(server, deps.now());
      const ask = () => surfaceOf(deps, context, service);
      const asked = isSilent ? silent.again(server, context.session?.id ?? "", ask) : ask();
      if (asked === undefined) return undefined;
      const surface = await Promise.race([asked, isSilent ? inOneTurn() : late]);
      if (surface !== LATE) {
        if (surface !== undefined) silent.answered(server);
        return surface === undefined ? undefined : { service, surface };
      }
      if (!isSilent) silent.gaveUp(server, deps.now());
      void asked.then((came) => {
        if (came === undefined) return;
        silent.answered(server);
        tellChanged(context);
      });
      return undefined;
    }),
  );
  clearTimeout(timer);
  const offered = found.filter((surface) => surface !== undefined);
  return { offered, complete: offered.length === services.length };
}

const LATE = Symbol("late");

/** Time enough for what is known already. */
function inOneTurn(): Promise<typeof LATE> {
  return new Promise((resolve) => setImmediate(resolve, LATE));
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
