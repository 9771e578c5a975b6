import type { AuditLog } from "../audit/event.ts";
import { Secret } from "../base/secret.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { checkServer, checkUnchanged, needsLogin } from "./check-grant.ts";
import type { LeasedCredential } from "./egress-fetch.ts";
import { issuedEvent, readEvent, revokedEvent } from "./grant-events.ts";
import { leaseClientSecret } from "./lease-client-secret.ts";
import type { GrantKey, GrantRecord, LoginRecords } from "./login-records.ts";
import type { LoginRow, LoginStore } from "./login-store.ts";
import type { EgressSender } from "./oauth-fetch.ts";
import { requestToken, type TokenAnswer, type TokenClient, TokenRefusal } from "./request-token.ts";
import { revokeUpstream } from "./revoke-upstream.ts";
import type { VaultLeases } from "./start-server.ts";
import { renewalAtMs, tokenLease } from "./token-lease.ts";

/** What of a sign-in is not secret. */
export interface GrantView extends GrantKey {
  readonly id: string;
  readonly issuer: string;
  readonly grantedAt: Date;
  /** Whether it is renewed by itself. */
  readonly renewable: boolean;
  readonly expiresAt: Date | undefined;
}

/** Tokens that people signed in for, at MCP servers elsewhere. */
export interface UserTokens {
  /**
   * The token for who asks: the one in force, or a renewed one.
   *
   * @param user - Of the principal.
   * @throws {Problem} `secret_unavailable` when nobody signed in, when the server took it back, or when server or file changed
   *   since; `audit_unavailable`, `store_unavailable`; others when the authorization server cannot be asked.
   */
  get(service: CompiledMcpService, user: string | undefined): Promise<LeasedCredential>;
  /** Keeps what a sign-in gave, in place of what was there. @throws {Problem} when that is not durable, or not on record. */
  keep(service: CompiledMcpService, owner: string, record: GrantRecord, by: string): Promise<void>;
  /**
   * Drops tokens here, at once and durably, and takes them back where they came from (RFC 7009).
   *
   * @returns How many; `revoked` settles with how many of them the servers took back. It never rejects.
   */
  drop(which: (key: GrantKey) => boolean, by: string): Promise<{ readonly dropped: number; revoked: Promise<number> }>;
  list(): Promise<readonly GrantView[]>;
}

export interface UserTokensDeps {
  readonly egress: EgressSender;
  readonly vault: VaultLeases;
  readonly store: LoginStore;
  readonly records: LoginRecords;
  readonly audit: Pick<AuditLog, "append">;
  /** The service as the rules in force have it. */
  readonly find: (service: string) => CompiledMcpService | undefined;
  readonly now: () => Date;
}

interface Held {
  readonly leased: LeasedCredential;
  readonly record: Omit<GrantRecord, "accessToken" | "refreshToken" | "clientSecret">;
  /** The server did not take it. */
  stale: boolean;
}

const NEVER = new Date(8_640_000_000_000_000);

/**
 * Keeps the tokens of people, one set per service and person.
 *
 * INVARIANT: a token goes to the endpoint that it was asked for, and its refresh token to the token endpoint that gave it: a
 * file or server that names another one since gets neither. What was rotated is durable before it is used.
 */
export function createUserTokens(deps: UserTokensDeps): UserTokens {
  const held = new Map<string, Held>();
  const underWay = new Map<string, Promise<Held>>();
  /** Counts what was dropped, so that what was read before is not handed out after. */
  let epoch = 0;

  const load = async (service: CompiledMcpService, key: GrantKey): Promise<Held> => {
    const before = epoch;
    const isStale = held.get(textOf(key))?.stale === true;
    const row = await deps.store.find({ ...key, kind: "grant" });
    const record = row && deps.records.openGrant(row);
    if (row === undefined || record === undefined) throw needsLogin(key, "nobody signed in");
    checkUnchanged(service, record, key);
    const isFresh = !isStale && lasts(record, deps.now());
    const current = isFresh ? record : await renew(service, key, row, record);
    await deps.audit.append(isFresh ? readEvent(key, current) : issuedEvent(key, current, "(doorward)", "refresh"));
    // Something was dropped, or kept, meanwhile: perhaps this.
    return before === epoch ? hold(key, current) : load(service, key);
  };

  const loadOnce = (service: CompiledMcpService, key: GrantKey): Promise<Held> => {
    const text = textOf(key);
    const shared = underWay.get(text);
    if (shared !== undefined) return shared;
    const loading = load(service, key).finally(() => underWay.delete(text));
    underWay.set(text, loading);
    return loading;
  };

  const hold = (key: GrantKey, record: GrantRecord): Held => {
    const { accessToken, refreshToken: _, clientSecret: __, ...facts } = record;
    const expiresAt = record.expiresAtMs === undefined ? NEVER : new Date(record.expiresAtMs);
    // Who it stands for: connections are shared by calls of one sign-in alone.
    const lease = tokenLease(accessToken, { version: `login:${record.id}`, expiresAt });
    const refused = () => {
      entry.stale = true;
    };
    const leased: LeasedCredential = {
      credential: { kind: "bearer", secret: "" },
      lease,
      refused,
    };
    const entry: Held = { leased, record: facts, stale: false };
    held.set(textOf(key), entry);
    return entry;
  };

  const unhold = (which: (key: GrantKey) => boolean): void => {
    epoch += 1;
    for (const text of [...held.keys()]) if (which(keyOf(text))) held.delete(text);
  };

  /** Spends the refresh token. @returns What is durable already. */
  const renew = async (
    service: CompiledMcpService,
    key: GrantKey,
    row: LoginRow,
    record: GrantRecord,
  ): Promise<GrantRecord> => {
    if (record.refreshToken === undefined) {
      // What the server refused once may be taken again: the next call tries.
      held.delete(textOf(key));
      throw needsLogin(key, "the token is over or refused, and cannot be renewed");
    }
    await checkServer(deps.egress, service, record, key);
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      refresh_token: record.refreshToken,
      resource: record.resource,
    });
    const client = await clientOf(deps, service, record);
    const url = new URL(record.tokenEndpoint);
    const answer = await requestToken(deps.egress, service, { url, form, client }).catch(async (error: unknown) => {
      if (!(error instanceof TokenRefusal) || error.error !== "invalid_grant") throw error;
      await forget(key, record, "the authorization server", "invalid_grant");
      throw needsLogin(key, "the authorization server took it back");
    });
    const next = renewedRecord(record, answer, deps.now());
    const version = row.version + 1;
    if (await deps.store.replace(deps.records.sealGrant(key, version, next), row.version)) return next;
    // Dropped, or signed in anew, meanwhile.
    void revokeUpstream(deps.egress, service, next, client);
    throw needsLogin(key, "it was taken back");
  };

  const forget = async (key: GrantKey, record: GrantRecord | undefined, by: string, reason: string) => {
    await deps.store.remove({ ...key, kind: "grant" });
    epoch += 1;
    held.delete(textOf(key));
    await deps.audit.append(revokedEvent(key, record, by, reason));
  };

  const takeBack = async (key: GrantKey, record: GrantRecord | undefined): Promise<boolean> => {
    const service = deps.find(key.service);
    if (record === undefined || service === undefined) return false;
    try {
      return await revokeUpstream(deps.egress, service, record, await clientOf(deps, service, record));
    } catch {
      return false;
    }
  };

  return {
    async get(service, user) {
      const key = { service: service.config.name, owner: user ?? "" };
      const known = held.get(textOf(key));
      const isUsable = known !== undefined && !known.stale && lasts(known.record, deps.now());
      const { record, leased } = isUsable ? known : await loadOnce(service, key);
      // What is shared may have been loaded for the entry that the file had before.
      checkUnchanged(service, record, key);
      return leased;
    },
    async keep(service, owner, record, by) {
      const key = { service: service.config.name, owner };
      await deps.audit.append(issuedEvent(key, record, by, "login"));
      const before = await deps.store.find({ ...key, kind: "grant" });
      await deps.store.put(deps.records.sealGrant(key, (before?.version ?? 0) + 1, record));
      epoch += 1;
      held.delete(textOf(key));
    },
    async drop(which, by) {
      unhold(which);
      const rows = (await deps.store.list("grant")).filter(which);
      const found = rows.map((row) => ({
        key: { service: row.service, owner: row.owner },
        record: deps.records.openGrant(row),
      }));
      for (const { key } of found) await deps.store.remove({ ...key, kind: "grant" });
      // What was read between.
      unhold(which);
      const taken = Promise.all(found.map(({ key, record }) => takeBack(key, record)));
      for (const { key, record } of found) await deps.audit.append(revokedEvent(key, record, by, "dropped"));
      return { dropped: found.length, revoked: taken.then((all) => all.filter(Boolean).length) };
    },
    async list() {
      const rows = await deps.store.list("grant");
      return rows.flatMap((row) => {
        const record = deps.records.openGrant(row);
        return record === undefined ? [] : [viewOf({ service: row.service, owner: row.owner }, record)];
      });
    },
  };
}

/** A clock set back must not make a token last longer. */
function lasts({ issuedAtMs, expiresAtMs }: Pick<GrantRecord, "issuedAtMs" | "expiresAtMs">, now: Date): boolean {
  return expiresAtMs === undefined || (issuedAtMs <= now.getTime() && now.getTime() < expiresAtMs);
}

/** When a token that is issued now is renewed; `undefined` where nothing was said and nothing can be done. */
export function endOf({ lifeSeconds, refreshToken }: TokenAnswer, now: Date): number | undefined {
  if (lifeSeconds === undefined && refreshToken === undefined) return undefined;
  return renewalAtMs(Math.min(lifeSeconds ?? DEFAULT_LIFE_SECONDS, MAX_LIFE_SECONDS), now);
}

/** The life of a token of which nothing is said, and which can be renewed. */
const DEFAULT_LIFE_SECONDS = 3_600;
const MAX_LIFE_SECONDS = 366 * 86_400;

function renewedRecord(record: GrantRecord, answer: TokenAnswer, now: Date): GrantRecord {
  const refreshToken = answer.refreshToken ?? record.refreshToken;
  const { expiresAtMs: _, ...kept } = record;
  const expiresAtMs = endOf({ ...answer, refreshToken }, now);
  return {
    ...kept,
    accessToken: answer.accessToken,
    ...(refreshToken === undefined ? {} : { refreshToken }),
    issuedAtMs: now.getTime(),
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  };
}

async function clientOf(
  deps: Pick<UserTokensDeps, "vault" | "now">,
  service: CompiledMcpService,
  record: GrantRecord,
): Promise<TokenClient> {
  const { clientId: id, clientSecret, method } = record;
  if (clientSecret !== undefined) return { id, secret: new Secret(clientSecret), method };
  const { credential } = service.config;
  const isConfigured = credential?.kind === "oauth2" && credential.clientId === id;
  const lease = isConfigured ? await leaseClientSecret(deps, service, new URL(record.tokenEndpoint)) : undefined;
  return { id, secret: lease?.secret, method };
}

function viewOf(key: GrantKey, { id, issuer, grantedAtMs, refreshToken, expiresAtMs }: GrantRecord): GrantView {
  return {
    ...key,
    id,
    issuer,
    grantedAt: new Date(grantedAtMs),
    renewable: refreshToken !== undefined,
    expiresAt: expiresAtMs === undefined ? undefined : new Date(expiresAtMs),
  };
}

function textOf({ service, owner }: GrantKey): string {
  return `${service}\0${owner}`;
}

function keyOf(text: string): GrantKey {
  const at = text.indexOf("\0");
  return { service: text.slice(0, at), owner: text.slice(at + 1) };
}
