import { newId } from "../base/ids.ts";
import type { UpstreamCall } from "../broker/upstream-call.ts";
import { isSameCaller } from "../identity/principal.ts";
import type { PendingCall } from "./pending-call.ts";

/** Calls that wait for a person, over all servers and of one agent. */
const PARKED_MAX = 256;
const PARKED_PER_AGENT_MAX = 16;
/** A person has this long to answer. */
const PARKED_MS = 5 * 60_000;

/** Requests at older servers whose caller was sent away with a question, and is to come back with the answer. */
export interface ParkedCalls {
  /** Keeps one. @returns Its id; `undefined` when there are too many, and the request is dropped then. */
  park(pending: PendingCall): string | undefined;
  /** Takes one out. @returns `undefined` when it is not there, or not this caller's with this very request. */
  take(id: string, call: UpstreamCall): PendingCall | undefined;
  /** Drops those of a client or of a service. */
  drop(match: (call: UpstreamCall) => boolean): void;
  readonly size: number;
}

/** Keeps parked calls in memory; each is dropped when its time is over. */
export function createParkedCalls(): ParkedCalls {
  const parked = new Map<string, { readonly pending: PendingCall; readonly timer: NodeJS.Timeout }>();
  const remove = (id: string) => {
    const found = parked.get(id);
    if (found === undefined) return undefined;
    clearTimeout(found.timer);
    parked.delete(id);
    return found.pending;
  };
  const ofAgent = (agent: string) => {
    let count = 0;
    for (const { pending } of parked.values()) if (pending.call.principal.agent === agent) count += 1;
    return count;
  };
  return {
    get size() {
      return parked.size;
    },
    park(pending) {
      if (parked.size >= PARKED_MAX || ofAgent(pending.call.principal.agent) >= PARKED_PER_AGENT_MAX) {
        pending.drop("too many calls wait for an answer");
        return undefined;
      }
      const id = newId("ask");
      const timer = setTimeout(() => remove(id)?.drop("the client did not answer in time"), PARKED_MS).unref();
      parked.set(id, { pending, timer });
      // What ends meanwhile is kept: its result is the answer to the next call.
      return id;
    },
    take(id, call) {
      const found = parked.get(id);
      return found !== undefined && isSame(found.pending.call, call) ? remove(id) : undefined;
    },
    drop(match) {
      for (const [id, { pending }] of parked) if (match(pending.call)) remove(id)?.drop("it was ended");
    },
  };
}

/** The door has proven it already, by the seal; here it costs nothing to look again. */
function isSame(one: UpstreamCall, other: UpstreamCall): boolean {
  return (
    isSameCaller(one.principal, other.principal) &&
    one.service.config.name === other.service.config.name &&
    one.request.method === other.request.method &&
    one.request.path === other.request.path &&
    Buffer.compare(one.request.body ?? EMPTY, other.request.body ?? EMPTY) === 0
  );
}

const EMPTY = new Uint8Array(0);
