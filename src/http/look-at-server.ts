import { Problem } from "../base/problem.ts";
import type { Relay } from "../broker/upstream-call.ts";
import type { Principal } from "../identity/principal.ts";
import type { CompiledMcpService, Snapshot } from "../policy/snapshot.ts";
import type { Pins, PinView } from "../upstreams/pins.ts";
import type { Surface } from "../upstreams/surface.ts";
import type { Upstreams } from "../upstreams/upstreams.ts";

/** What the owner's look at an MCP server found. */
export interface ServerLook {
  /** What is offered: without what is held. */
  readonly surface: Surface;
  readonly held: readonly PinView[];
}

export type LookAtServer = (service: string) => Promise<ServerLook>;

/** The peer of a look; no session of a client has this key. */
const OWNER_RELAY: Relay = {
  key: "(owner)",
  era: "legacy",
  // Some servers offer more to a client that can be asked; the first look must see all of it, or the rest is new later.
  capabilities: { elicitation: {}, sampling: {}, roots: {} },
  progressToken: undefined,
  meta: {},
  notify() {},
  request: () => Promise.reject(new Problem("invalid_request", { detail: "nobody can be asked" })),
};

/**
 * Makes the function by which the owner looks at a server: it is started, or reached, and all that it offers is listed and pinned.
 *
 * The connection is the owner's alone and ends with the look.
 */
export function createLookAtServer(deps: {
  readonly snapshot: () => Snapshot;
  readonly upstreams: Pick<Upstreams, "surface" | "surfaceChanged" | "endSession">;
  readonly pins: Pick<Pins, "list">;
  readonly owner: (now: Date) => Principal;
  readonly now: () => Date;
}): LookAtServer {
  const { upstreams, pins } = deps;
  let looks = 0;
  return async (name) => {
    const service = deps.snapshot().services.get(name);
    if (service?.config.kind !== "mcp") throw new Problem("not_found", { detail: `\`${name}\` is no MCP server` });
    const key = `${OWNER_RELAY.key}${++looks}`;
    try {
      // What is known from before would hide what has changed since.
      upstreams.surfaceChanged(name);
      const relay = { ...OWNER_RELAY, key };
      const surface = await upstreams.surface(service as CompiledMcpService, deps.owner(deps.now()), relay);
      return { surface, held: pins.list(name).filter(({ state }) => state === "held") };
    } finally {
      upstreams.endSession(key);
    }
  };
}
