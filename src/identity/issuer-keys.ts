import type { JSONWebKeySet, JWTVerifyGetKey } from "jose";
import { parseStrictJson } from "../base/strict-json.ts";
import type { IssuerConfig } from "../config/schema.ts";

/** Reads the document with an issuer's public keys, from wherever the file says. @throws what went wrong. */
export type FetchKeys = (issuer: IssuerConfig) => Promise<Uint8Array>;

/** The public keys of trusted issuers, fetched when they are first needed. */
export interface IssuerKeys {
  /** @throws where there are none to be had: nobody is let in then. */
  current(issuer: IssuerConfig, now: Date): Promise<JWTVerifyGetKey>;
  /** For a token whose key is not among the current ones: fetched anew, though not at every such token. */
  renewed(issuer: IssuerConfig, now: Date): Promise<JWTVerifyGetKey>;
}

/** Keys are fetched again after this long: 10 minutes. */
const FRESH_MS = 600_000;
/** Keys that cannot be fetched again are used for this long: 24 hours. */
const STALE_MS = 86_400_000;
/** Between two attempts, so that tokens with made-up keys ask nothing of the issuer: half a minute. */
const COOLDOWN_MS = 30_000;
const KEYS_LIMIT = 100;

interface Held {
  keys: JWTVerifyGetKey | undefined;
  fetchedAt: number;
  attemptedAt: number;
  pending: Promise<JWTVerifyGetKey> | undefined;
}

/** Keeps the keys in memory, for as long as the issuer's entry in the rules is the same one. */
export function createIssuerKeys(fetchKeys: FetchKeys): IssuerKeys {
  const held = new WeakMap<IssuerConfig, Held>();
  const stateOf = (issuer: IssuerConfig): Held => {
    const known = held.get(issuer);
    if (known !== undefined) return known;
    const state: Held = { keys: undefined, fetchedAt: 0, attemptedAt: Number.NEGATIVE_INFINITY, pending: undefined };
    held.set(issuer, state);
    return state;
  };

  const fetchAnew = async (issuer: IssuerConfig, state: Held, nowMs: number): Promise<JWTVerifyGetKey> => {
    try {
      // Loaded when it is needed, so that a start without such issuers does not wait for it.
      const { createLocalJWKSet } = await import("jose");
      state.keys = createLocalJWKSet(readKeys(await fetchKeys(issuer)));
      state.fetchedAt = nowMs;
      return state.keys;
    } catch (error) {
      if (state.keys !== undefined && nowMs - state.fetchedAt < STALE_MS) return state.keys;
      throw error;
    } finally {
      state.pending = undefined;
    }
  };

  const keysOf = async (issuer: IssuerConfig, now: Date, freshMs: number): Promise<JWTVerifyGetKey> => {
    const state = stateOf(issuer);
    const nowMs = now.getTime();
    if (state.pending !== undefined) return state.pending;
    const isFresh = state.keys !== undefined && nowMs - state.fetchedAt < freshMs;
    const isTooSoon = nowMs - state.attemptedAt < COOLDOWN_MS;
    if (state.keys !== undefined && (isFresh || isTooSoon) && nowMs - state.fetchedAt < STALE_MS) return state.keys;
    if (isTooSoon) throw new Error("the issuer's keys could not be fetched a moment ago");
    state.attemptedAt = nowMs;
    state.pending = fetchAnew(issuer, state, nowMs);
    return state.pending;
  };

  return {
    current: (issuer, now) => keysOf(issuer, now, FRESH_MS),
    renewed: (issuer, now) => keysOf(issuer, now, 0),
  };
}

/** @throws for what is no set of public keys (RFC 7517 §5). */
function readKeys(text: Uint8Array): JSONWebKeySet {
  const parsed = parseStrictJson(text);
  if (!parsed.ok) throw new Error("the issuer's keys are no JSON");
  const keys = (parsed.value as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > KEYS_LIMIT) throw new Error("these are no keys");
  // A symmetric key in a public document is everybody's.
  return { keys: keys.filter((key) => typeof key === "object" && key !== null && key.kty !== "oct") };
}
