import { findKill, indexKills, type Kill } from "../policy/kills.ts";

/** A call, as far as a kill needs to know it. */
export type KillableCall = Parameters<typeof findKill>[1];

/** A call under way. */
export interface ActiveCall {
  /** Where {@link ActiveCalls} keeps it; -1 while it does not. */
  slot: number;
  readonly killable: KillableCall;
  /** Whether its answer has begun. */
  readonly streaming: boolean;
  /** @returns Whether it was stopped by this: one that has its outcome already, or is being stopped, is not. */
  stop(kill: Kill): boolean;
}

/** The calls under way on this node, until their outcome is durable: what a kill cuts, what a drain waits for. */
export interface ActiveCalls {
  readonly size: number;
  add(call: ActiveCall): void;
  remove(call: ActiveCall): void;
  /** Stops each call that the kill covers. @returns How many were stopped, and how many of them were streaming. */
  cut(kill: Kill): { readonly stopped: number; readonly streams: number };
  /** Resolves when no call is under way. */
  idle(): Promise<void>;
}

export function createActiveCalls(): ActiveCalls {
  // Not a Set: V8 links each outgrown table of a Set to its successor, so that one that died old keeps every later call
  // alive until the next major collection, and each scavenge copies them all.
  const calls: ActiveCall[] = [];
  const waiting: (() => void)[] = [];
  return {
    get size() {
      return calls.length;
    },
    add(call) {
      call.slot = calls.length;
      calls.push(call);
    },
    remove(call) {
      if (call.slot === -1) return;
      const last = calls.pop()!;
      if (last !== call) {
        calls[call.slot] = last;
        last.slot = call.slot;
      }
      call.slot = -1;
      if (calls.length === 0) for (const resolve of waiting.splice(0)) resolve();
    },
    cut(kill) {
      const kills = indexKills([kill]);
      const covered = calls.filter((call) => findKill(kills, call.killable) !== undefined);
      const stopped = covered.filter((call) => call.stop(kill));
      return { stopped: stopped.length, streams: stopped.filter(({ streaming }) => streaming).length };
    },
    idle: () => (calls.length === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
