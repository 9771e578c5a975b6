import type { AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import { parseScopeGlob } from "../config/names.ts";
import { hashKey, isOfKeyLength, makeApiKey } from "./api-key.ts";
import type { ApiKeyRecord, ApiKeyStore } from "./api-key-store.ts";

const DAY_SECONDS = 86_400;
/** Seconds; the longest life of a key, and the one it gets when nothing is said. */
export const KEY_TTL_LIMIT_SECONDS = 90 * DAY_SECONDS;
/** Keys of one agent that are neither revoked nor expired. */
const LIVE_KEYS_LIMIT = 100;
/** Milliseconds for which an ended key stays listed, and is told apart from one that never was. */
const KEEP_ENDED_MS = 90 * DAY_SECONDS * 1_000;
/** Milliseconds between a key's use and its being written down; nothing depends on it but the listing. */
const TOUCH_DELAY_MS = 60_000;

export interface IssuedKey {
  readonly agent: string;
  readonly environment: string;
  /** The key itself, here and never again. Shown to the owner and written to the agent's key file. */
  readonly key: string;
  readonly keyId: string;
  readonly scopes: readonly string[] | undefined;
  readonly expiresAt: Date;
}

/** What `agent list` shows of a key. */
export interface ListedKey {
  readonly id: string;
  readonly agent: string;
  readonly environment: string;
  readonly scopes: readonly string[] | undefined;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
}

interface IssueRequest {
  readonly agent: string;
  readonly environment: string;
  /** Seconds, whole, at most {@link KEY_TTL_LIMIT_SECONDS}; absent: that limit. */
  readonly ttlSeconds?: number | undefined;
  /** Patterns over `service:operation` that the key is narrowed to; absent: all that the agent may do. */
  readonly scopes?: readonly string[] | undefined;
  /** Who asks for it: `owner`, a user; for the evidence. */
  readonly by: string;
  readonly now: Date;
}

interface RetireRequest {
  /** Ids of keys. */
  readonly ids: readonly string[];
  /** Seconds that they stay valid for. */
  readonly overlapSeconds: number;
  readonly by: string;
  readonly now: Date;
}

interface RevokeRequest {
  /** The name of an agent (all its keys) or a `key_…` id. */
  readonly target: string;
  readonly by: string;
  readonly now: Date;
}

/**
 * The API keys of this home, held in memory by their hash so that a look-up is a hash and a Map.
 *
 * A hash of 200 random bits needs no salt and no slow function, and its comparison leaks nothing that could be steered.
 */
export class ApiKeys {
  readonly #deps: ApiKeysDeps;
  readonly #byHash = new Map<string, LiveKey>();
  #touching: NodeJS.Timeout | undefined;

  private constructor(deps: ApiKeysDeps) {
    this.#deps = deps;
  }

  /**
   * Reads the issued keys from the store.
   *
   * @throws {Problem} `store_unavailable`.
   */
  static async load(deps: ApiKeysDeps, now: Date): Promise<ApiKeys> {
    const keys = new ApiKeys(deps);
    await deps.store.prune(new Date(now.getTime() - KEEP_ENDED_MS));
    for (const record of await deps.store.load()) keys.#add(record);
    return keys;
  }

  /**
   * Issues a key; another one for the same agent is how a key is rotated with overlap.
   *
   * The evidence comes first: a key that nobody can prove was issued does not exist.
   *
   * @throws {Problem} `invalid_request` for a life outside the limit or too many live keys; `audit_unavailable`; `store_unavailable`.
   */
  async issue(request: IssueRequest): Promise<IssuedKey> {
    const { agent, environment, ttlSeconds = KEY_TTL_LIMIT_SECONDS, scopes, by, now } = request;
    this.#checkIssue(agent, ttlSeconds, now);
    checkScopes(scopes);
    const { key, id } = makeApiKey(environment);
    const expiresAt = new Date(now.getTime() + ttlSeconds * 1_000);
    const record: ApiKeyRecord = {
      id,
      agent,
      environment,
      scopes,
      hash: hashKey(key),
      createdAt: now,
      expiresAt,
      revokedAt: undefined,
      lastUsedAt: undefined,
    };
    await this.#deps.audit.append({
      type: "token.issued",
      agent,
      data: {
        kind: "api_key",
        token: id,
        environment,
        ...(scopes === undefined ? {} : { scopes: [...scopes] }),
        expires_at: expiresAt.toISOString(),
        by,
      },
    });
    await this.#deps.store.insert(record);
    this.#add(record);
    return { agent, environment, scopes, key, keyId: id, expiresAt };
  }

  /**
   * Lets keys end soon, so that whoever holds one has time to take its successor. It never makes one live longer.
   *
   * @returns Those that end sooner now, with their end.
   * @throws {Problem} `audit_unavailable`, `store_unavailable`: they end at their old time after a restart; repeat it.
   */
  async retire({ ids, overlapSeconds, by, now }: RetireRequest): Promise<readonly ListedKey[]> {
    const end = new Date(now.getTime() + overlapSeconds * 1_000);
    const retired = [...this.#byHash.values()].filter(
      (key) => ids.includes(key.id) && key.revokedAt === undefined && key.expiresAt > end,
    );
    for (const key of retired) key.expiresAt = end;
    await Promise.all(
      retired.map(({ id, agent }) =>
        this.#deps.audit.append({
          type: "token.revoked",
          agent,
          data: { kind: "api_key", token: id, by, effective_at: end.toISOString() },
        }),
      ),
    );
    await this.#deps.store.shorten(
      retired.map(({ id }) => id),
      end,
    );
    return retired.map(listed);
  }

  /**
   * Revokes one key, or all of an agent.
   *
   * It holds in memory before anything is written, so that a full disk cannot keep a key alive.
   *
   * @returns The ids revoked; empty when the target has no live key.
   * @throws {Problem} `store_unavailable`, `audit_unavailable`: revoked in this process, but not yet durably; repeat it.
   */
  async revoke({ target, by, now }: RevokeRequest): Promise<readonly string[]> {
    const revoked = [...this.#byHash.values()].filter((key) => key.id === target || key.agent === target);
    // A repetition writes again what an earlier failure may have kept from the store.
    const fresh = revoked.filter((key) => key.revokedAt === undefined || !key.revocationStored);
    for (const key of fresh) key.revokedAt ??= now;
    if (fresh.length === 0) return [];
    await this.#deps.store.revoke(
      fresh.map(({ id }) => id),
      now,
    );
    await Promise.all(
      fresh.map(({ id, agent }) =>
        this.#deps.audit.append({ type: "token.revoked", agent, data: { kind: "api_key", token: id, by } }),
      ),
    );
    for (const key of fresh) key.revocationStored = true;
    return fresh.map(({ id }) => id);
  }

  /** Every key that is kept, the ended ones too; oldest first. */
  list(): readonly ListedKey[] {
    return [...this.#byHash.values()].map(listed);
  }

  /** Finds the key that a token is, dead or alive. The caller judges its expiry and revocation, at every use. */
  find(token: string): LiveKey | undefined {
    return isOfKeyLength(token) ? this.#byHash.get(hashKey(token)) : undefined;
  }

  /** Notes that a key was used; written down later, in one batch. */
  used(key: LiveKey, now: Date): void {
    key.lastUsedAt = now;
    key.touched = true;
    this.#touching ??= setTimeout(() => void this.flush(), TOUCH_DELAY_MS).unref();
  }

  /** Writes down the uses noted so far. Never throws: what cannot be written is tried again with the next use. */
  async flush(): Promise<void> {
    clearTimeout(this.#touching);
    this.#touching = undefined;
    const touched = [...this.#byHash.values()].filter((key) => key.touched);
    if (touched.length === 0) return;
    for (const key of touched) key.touched = false;
    try {
      await this.#deps.store.touch(touched.map((key) => ({ id: key.id, at: key.lastUsedAt ?? key.createdAt })));
    } catch (error) {
      for (const key of touched) key.touched = true;
      this.#deps.report?.("the last use of API keys could not be written down", error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }

  #add(record: ApiKeyRecord): void {
    this.#byHash.set(record.hash, { ...record, touched: false, revocationStored: record.revokedAt !== undefined });
  }

  #checkIssue(agent: string, ttlSeconds: number, now: Date): void {
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > KEY_TTL_LIMIT_SECONDS) {
      throw new Problem("invalid_request", {
        detail: "a key lives for at least a second and at most 90 days",
        remedy: "Say how long with `--ttl 90d` or less; issue another before it ends.",
      });
    }
    const live = [...this.#byHash.values()].filter(
      (key) => key.agent === agent && key.revokedAt === undefined && key.expiresAt > now,
    );
    if (live.length < LIVE_KEYS_LIMIT) return;
    throw new Problem("invalid_request", {
      detail: `\`${agent}\` has ${LIVE_KEYS_LIMIT} live keys already`,
      remedy: "Revoke those that are not in use: `doorward agent revoke KEY_ID`.",
    });
  }
}

/** Patterns that a key may be narrowed to at once. */
const SCOPES_LIMIT = 100;

function checkScopes(scopes: readonly string[] | undefined): void {
  if (scopes === undefined) return;
  if (scopes.length === 0 || scopes.length > SCOPES_LIMIT) {
    throw new Problem("invalid_request", {
      detail: `a key is narrowed to 1 to ${SCOPES_LIMIT} scopes`,
      remedy: "Name each with `--scope`, or none for all that the agent may do.",
    });
  }
  for (const scope of scopes) {
    const read = parseScopeGlob(scope);
    if (!read.ok) throw new Problem("invalid_request", { detail: read.problem, remedy: `${read.remedy}.` });
  }
}

function listed(key: LiveKey): ListedKey {
  const { id, agent, environment, scopes, createdAt, expiresAt, revokedAt, lastUsedAt } = key;
  return { id, agent, environment, scopes, createdAt, expiresAt, revokedAt, lastUsedAt };
}

export interface ApiKeysDeps {
  readonly store: ApiKeyStore;
  readonly audit: AuditLog;
  /** Told of what fails without a caller to tell. */
  readonly report?: (what: string, error: unknown) => void;
}

/** A key in memory, as `find` gives it to the authenticator. */
export type LiveKey = { -readonly [K in keyof ApiKeyRecord]: ApiKeyRecord[K] } & {
  touched: boolean;
  revocationStored: boolean;
};
