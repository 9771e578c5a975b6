import type { TokenSource } from "../identity/token-source.ts";

/** What became of an order to take tokens back. */
export interface Revocation {
  /** Ids; none where nothing was left. */
  readonly revoked: readonly string[];
  readonly streams: number;
}

/**
 * Takes back one token, or all of an agent, wherever they were issued, and ends what they have under way.
 *
 * @throws {Problem} `store_unavailable`, `audit_unavailable`: taken back in this process, but not yet durably.
 */
export type RevokeTokens = (order: { readonly target: string; readonly by: string }) => Promise<Revocation>;

export function createRevokeTokens(deps: {
  readonly sources: () => readonly TokenSource[];
  /** Ends the calls under way of a client. @returns How many streams were cut. */
  readonly cut: (client: string) => number;
  readonly now: () => Date;
}): RevokeTokens {
  return async (asked) => {
    const order = { ...asked, now: deps.now() };
    // All are asked before a failure is told: each holds in memory at once.
    const results = await Promise.allSettled(deps.sources().map((source) => source.revoke(order)));
    const revoked = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    const clients = new Set(revoked.map(({ client }) => client));
    const streams = [...clients].reduce((sum, client) => sum + deps.cut(client), 0);
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return { revoked: revoked.map(({ id }) => id), streams };
  };
}
