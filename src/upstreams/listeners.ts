import type { Relay } from "../broker/upstream-call.ts";

/** A server that changes its lists all the time is heard of no oftener than this. */
const QUIET_MS = 1_000;

/** Who hears of what a server says to all: sessions, and streams of subscriptions. */
export interface Listeners {
  /** @returns Takes it out again. */
  add(service: string, relay: Relay): () => void;
  /** The newest of a client. */
  find(service: string, key: string): Relay | undefined;
  /** Tells all of a service, soon; the same words once. */
  tell(service: string, method: string): void;
  forget(key: string): void;
}

/** Keeps listeners in memory. */
export function createListeners(): Listeners {
  const relays = new Map<string, Set<Relay>>();
  const waiting = new Set<string>();
  const remove = (service: string, relay: Relay) => {
    const found = relays.get(service);
    found?.delete(relay);
    if (found?.size === 0) relays.delete(service);
  };
  return {
    add(service, relay) {
      const found = relays.get(service);
      if (found === undefined) relays.set(service, new Set([relay]));
      else found.add(relay);
      return () => remove(service, relay);
    },
    find: (service, key) => [...(relays.get(service) ?? [])].findLast((relay) => relay.key === key),
    tell(service, method) {
      const words = `${service} ${method}`;
      if (!relays.has(service) || waiting.has(words)) return;
      waiting.add(words);
      setTimeout(() => {
        waiting.delete(words);
        for (const relay of relays.get(service) ?? []) relay.notify(method, {});
      }, QUIET_MS).unref();
    },
    forget(key) {
      for (const [service, found] of [...relays])
        for (const relay of found) if (relay.key === key) remove(service, relay);
    },
  };
}
