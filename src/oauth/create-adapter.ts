import type { Adapter, Payload } from "oidc-provider";
import type { AuditLog } from "../audit/event.ts";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { type AccessTokens, hashToken, type LiveToken, tokenId } from "./access-tokens.ts";
import type { OAuthClients } from "./oauth-clients.ts";
import type { OAuthStore } from "./oauth-store.ts";
import { liveTokenOf, parentOf, type RecordSeal, userOf, voucherOf } from "./record-seal.ts";

/** Ended records are dropped after this many writes. */
const PRUNE_EVERY = 500;
/** Milliseconds that an ended record stays, so that its reuse is told apart from a guess. */
const KEEP_ENDED_MS = 600_000;

export interface AdapterDeps {
  readonly store: OAuthStore;
  readonly seal: RecordSeal;
  readonly clients: OAuthClients;
  readonly tokens: AccessTokens;
  readonly audit: AuditLog;
  readonly now: () => Date;
  /** The agent that a client registering itself is bound to by its registration token. */
  readonly registeringAgent: () => string | undefined;
  /** What to throw at who comes second. */
  readonly invalidGrant: (why: string) => Error;
}

/** Makes what oidc-provider keeps its state in, one per model. */
export function createAdapterFactory(deps: AdapterDeps): (model: string) => Adapter {
  const records = recordAdapter(deps);
  return (model) => (model === "Client" ? clientAdapter(deps) : records(model));
}

function clientAdapter({ clients, now, registeringAgent }: AdapterDeps): Adapter {
  const never = () => Promise.reject(new Error("clients have no such thing"));
  return {
    upsert: (_, metadata) => clients.register(metadata as JsonObject, registeringAgent(), now()),
    find: async (id) => clients.find(id)?.metadata as Payload | undefined,
    findByUserCode: never,
    findByUid: never,
    consume: never,
    destroy: never,
    revokeByGrantId: never,
  };
}

const ACCESS_MODELS = new Set(["AccessToken", "ClientCredentials"]);
const TOKEN_MODELS = new Set([...ACCESS_MODELS, "RefreshToken"]);

function recordAdapter(deps: AdapterDeps): (model: string) => Adapter {
  const { store, seal, tokens, now } = deps;
  let writes = 0;
  const payloadOf = (record: Awaited<ReturnType<OAuthStore["find"]>>, value?: string): Payload | undefined => {
    if (record === undefined || record.revokedAt !== undefined) return undefined;
    const payload = seal.open(record);
    if (payload === undefined) return undefined;
    return {
      ...payload,
      ...(value === undefined ? {} : { jti: value }),
      ...(record.consumedAt === undefined ? {} : { consumed: Math.floor(record.consumedAt.getTime() / 1_000) }),
    };
  };
  return (model) => ({
    async upsert(value, payload, expiresIn) {
      const expiresAt = expiresIn === undefined ? undefined : new Date(now().getTime() + expiresIn * 1_000);
      const record = seal.seal(model, value, payload, expiresAt);
      if (++writes % PRUNE_EVERY === 0) await store.prune(new Date(now().getTime() - KEEP_ENDED_MS));
      if (model === "ReplayDetection") {
        if (!(await store.insert(record))) throw deps.invalidGrant("a proof was used twice");
        return;
      }
      const parent = await parentToken(deps, payload);
      if (TOKEN_MODELS.has(model)) await recordIssue(deps, model, record.id, payload);
      await store.put(record);
      if (ACCESS_MODELS.has(model)) tokens.add(liveTokenOf(record, payload, parent));
    },
    find: async (value) => payloadOf(await store.find({ model, id: hashToken(value) }), value),
    findByUserCode: async (code) => payloadOf(await store.findByLookup(model, hashToken(code))),
    findByUid: async (uid) => payloadOf(await store.findByLookup(model, hashToken(uid))),
    async consume(value) {
      // INVARIANT: of any number of parallel uses one changes the row; the store says which.
      if (await store.consume({ model, id: hashToken(value) }, now())) return;
      throw deps.invalidGrant("used twice at once");
    },
    async destroy(value) {
      const key = { model, id: hashToken(value) };
      if (!TOKEN_MODELS.has(model)) return store.remove(key);
      tokens.revoke(({ hash }) => hash === key.id, now());
      await store.revoke([key], now());
    },
    async revokeByGrantId(grantId) {
      const hashed = hashToken(grantId);
      if (ACCESS_MODELS.has(model)) tokens.revoke((token) => token.grantId === hashed, now());
      if (TOKEN_MODELS.has(model)) await store.revokeGrant(model, hashed, now());
      else await store.removeGrant(model, hashed);
    },
  });
}

/** A token that nobody can prove was issued does not exist: the evidence comes first. */
async function recordIssue({ audit, clients }: AdapterDeps, model: string, hash: string, payload: Payload) {
  const client = String(payload["clientId"]);
  const text = (name: string) => (typeof payload[name] === "string" ? (payload[name] as string) : undefined);
  await audit.append({
    type: "token.issued",
    agent: clients.find(client)?.agent,
    user: userOf(payload),
    data: {
      kind: model === "RefreshToken" ? "refresh" : "oauth",
      token: tokenId(hash),
      client,
      audience: text("aud"),
      scope: text("scope"),
      ...detailsIn(payload),
      bound: text("jkt") !== undefined ? "dpop" : text("x5t#S256") !== undefined ? "certificate" : undefined,
      parent: parentIdOf(payload),
      issuer: voucherOf(payload),
      expires_at: new Date(Number(payload["exp"]) * 1_000).toISOString(),
    },
  });
}

function detailsIn({ rar }: Payload): { readonly authorization_details?: JsonValue } {
  return rar === undefined ? {} : { authorization_details: rar as JsonValue };
}

function parentIdOf(payload: Payload): string | undefined {
  const parent = parentOf(payload);
  return parent === undefined ? undefined : tokenId(parent);
}

async function parentToken({ tokens, invalidGrant }: AdapterDeps, payload: Payload): Promise<LiveToken | undefined> {
  const hash = parentOf(payload);
  if (hash === undefined) return undefined;
  const parent = await tokens.byHash(hash);
  if (parent === undefined) throw invalidGrant("the token to exchange is gone");
  return parent;
}
