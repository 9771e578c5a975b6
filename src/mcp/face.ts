import type { JsonObject } from "../base/json.ts";
import type { Turns } from "../base/turns.ts";
import type { ByteBudget } from "../broker/byte-budget.ts";
import type { Broker } from "../broker/create-broker.ts";
import type { Relay } from "../broker/upstream-call.ts";
import type { Principal } from "../identity/principal.ts";
import type { CompiledMcpService, Snapshot } from "../policy/snapshot.ts";
import { type ListedItems, visibleItems } from "../policy/visible-items.ts";
import type { Upstreams } from "../upstreams/upstreams.ts";
import { createRelay } from "./create-relay.ts";
import type { DispatchContext, ServerIdentity } from "./dispatch.ts";
import { acceptsEvents, openEventStream, sendEvent } from "./event-stream.ts";
import { exposeUris } from "./exposed-uris.ts";
import type { RequestStates } from "./request-state.ts";

/** What the face over upstream MCP servers needs of the rest. */
export interface FaceDeps {
  readonly server: ServerIdentity;
  readonly snapshot: () => Snapshot;
  readonly now: () => Date;
  readonly upstreams: Pick<Upstreams, "surface" | "listen" | "endSession" | "silent">;
  readonly broker: Pick<Broker, "call">;
  readonly budget: ByteBudget;
  /** Large answers are written into their messages one per turn of the event loop. */
  readonly turns: Turns;
  readonly states: RequestStates;
  readonly fault: (error: unknown, requestId: string) => void;
}

/** Which of a server's items a principal may call now, by the same rules as a call. */
export function visibleTo(
  { snapshot, now }: Pick<FaceDeps, "snapshot" | "now">,
  principal: Principal,
  service: CompiledMcpService,
  items: ListedItems,
): ReadonlySet<string> {
  return new Set(visibleItems(snapshot(), principal, service, items, now()));
}

/** The relay of one request, to one service. */
export function relayOf(
  context: DispatchContext,
  service: string,
  params: JsonObject,
  resumed: Pick<Relay, "inputResponses" | "requestState"> = {},
): Relay {
  const { principal, era, session } = context;
  return createRelay({
    principal,
    era,
    session,
    params,
    send: senderOf(context),
    expose: (said) => (context.service === undefined ? exposeUris(service, said) : said),
    ...resumed,
  });
}

/** How messages that belong to a request reach its client: on the answer's own stream, or on the connection. */
export function senderOf({ request, response, session, requestId }: DispatchContext): (message: string) => boolean {
  if (request === undefined || response === undefined) {
    return (message) => {
      session?.push?.(message);
      return session?.push !== undefined;
    };
  }
  return (message) => {
    if (response.writableEnded || response.destroyed || !acceptsEvents(request)) return false;
    if (!response.headersSent) openEventStream(response, requestId);
    sendEvent(response, message);
    return true;
  };
}
