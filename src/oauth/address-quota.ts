/** Addresses remembered; beyond these the window starts anew for all. */
const ADDRESSES_LIMIT = 10_000;

/** Counts what strangers make us keep or fetch, by their address. */
export interface AddressQuota {
  /** @returns Seconds to wait; `undefined` when there is room, and it is taken then. */
  take(address: string, now: Date): number | undefined;
}

export function createAddressQuota({
  limit,
  windowMs,
}: {
  readonly limit: number;
  readonly windowMs: number;
}): AddressQuota {
  let counts = new Map<string, number>();
  let endsAt = 0;
  return {
    take(address, now) {
      const at = now.getTime();
      if (at >= endsAt || endsAt - at > windowMs || counts.size > ADDRESSES_LIMIT) {
        counts = new Map();
        endsAt = at + windowMs;
      }
      const count = counts.get(address) ?? 0;
      if (count >= limit) return Math.max(1, Math.ceil((endsAt - at) / 1_000));
      counts.set(address, count + 1);
      return undefined;
    },
  };
}
