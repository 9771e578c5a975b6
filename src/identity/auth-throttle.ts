import { isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";

/** Failed authentications of one address in a window, before it is told to wait. */
const FAILURES_LIMIT = 600;
/** Milliseconds. */
const WINDOW_MS = 60_000;
/** Addresses remembered; the one that failed longest ago makes room. */
const ADDRESSES_LIMIT = 10_000;

export type ThrottleAnswer =
  | { readonly limited: false }
  /** `first` once per window: the failure to record; those after it are answered alone. */
  | { readonly limited: true; readonly retryAfterSeconds: number; readonly first: boolean };

/**
 * Counts failed authentications per address. It is asked after a failure only, so that a valid token is never held up.
 *
 * An IPv6 address counts by its /64, which is what one machine is given.
 */
export interface AuthThrottle {
  /** Counts one failure. @returns Whether it is beyond the limit, to be answered `rate_limited`. Never throws. */
  failed(address: string, now: Date): ThrottleAnswer;
}

interface Window {
  readonly endsAtMs: number;
  failures: number;
}

export function createAuthThrottle(): AuthThrottle {
  const windows = new Map<string, Window>();
  return {
    failed(address, now) {
      const key = networkOf(address);
      const window = currentWindow(windows.get(key), now.getTime());
      window.failures++;
      windows.delete(key);
      windows.set(key, window);
      dropOldest(windows);
      if (window.failures <= FAILURES_LIMIT) return { limited: false };
      return {
        limited: true,
        retryAfterSeconds: Math.max(1, Math.ceil((window.endsAtMs - now.getTime()) / 1_000)),
        first: window.failures === FAILURES_LIMIT + 1,
      };
    },
  };
}

/** The window under way; a new one when there is none, it is over, or the clock was set back by more than a window. */
function currentWindow(window: Window | undefined, nowMs: number): Window {
  const underWay = window !== undefined && window.endsAtMs > nowMs && window.endsAtMs - nowMs <= WINDOW_MS;
  return underWay ? window : { endsAtMs: nowMs + WINDOW_MS, failures: 0 };
}

function dropOldest(windows: Map<string, Window>): void {
  if (windows.size <= ADDRESSES_LIMIT) return;
  for (const oldest of windows.keys()) {
    windows.delete(oldest);
    return;
  }
}

function networkOf(address: string): string {
  const plain = address.split("%", 1)[0] ?? address;
  if (!isIPv6(plain)) return plain;
  const parsed = ipaddr.IPv6.parse(plain);
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString();
  return parsed.parts.slice(0, 4).join(":");
}
