import type { Relay } from "./upstream-call.ts";

/** What differs from one sending of the same call to the next, and changes nothing about it. */
const TRACE_KEYS: ReadonlySet<string> = new Set(["traceparent", "tracestate", "baggage"]);

/**
 * The peer of a call that a person approved: of its `_meta` only the trace context goes upstream.
 *
 * The rest is no part of what the person saw, since clients put ids of their own there that differ at each repetition; a
 * server could take orders from it.
 */
export function approvedRelay(relay: Relay): Relay {
  const kept = Object.entries(relay.meta).filter(([key]) => TRACE_KEYS.has(key));
  return { ...relay, meta: Object.fromEntries(kept) };
}
