import { findKill, indexKills, type Kill } from "../policy/kills.ts";

/** A call, as far as a kill needs to know it. */
export type KillableCall = Parameters<typeof findKill>[1];

/** A call under way. */
export interface ActiveCall {
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
  const calls = new Set<ActiveCall>();
  const waiting: (() => void)[] = [];
  return {
    get size() {
      return calls.size;
    },
    add: (call) => void calls.add(call),
    remove(call) {
      calls.delete(call);
      if (calls.size === 0) for (const resolve of waiting.splice(0)) resolve();
    },
    cut(kill) {
      const kills = indexKills([kill]);
      const covered = [...calls].filter((call) => findKill(kills, call.killable) !== undefined);
      const stopped = covered.filter((call) => call.stop(kill));
      return { stopped: stopped.length, streams: stopped.filter(({ streaming }) => streaming).length };
    },
    idle: () => (calls.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
