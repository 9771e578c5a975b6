import type { Payload } from "oidc-provider";
import type { AuditLog } from "../audit/event.ts";
import type { ListedToken, RevokedToken, TokenSource } from "../identity/token-source.ts";
import { type AccessTokens, tokenId } from "./access-tokens.ts";
import { agentNameOf, type OAuthClients } from "./oauth-clients.ts";
import type { OAuthRecord, OAuthStore } from "./oauth-store.ts";
import { type RecordSeal, userOf } from "./record-seal.ts";

const MODELS = ["AccessToken", "ClientCredentials", "RefreshToken"];

export interface OAuthTokensDeps {
  readonly store: Pick<OAuthStore, "list" | "revoke">;
  readonly seal: Pick<RecordSeal, "open">;
  readonly clients: OAuthClients;
  readonly tokens: AccessTokens;
  readonly audit: AuditLog;
}

interface Kept {
  readonly record: OAuthRecord;
  readonly listed: ListedToken;
}

/** The tokens of the authorization server, as `doorward token` and kills see them. */
export function createOAuthTokens(deps: OAuthTokensDeps): TokenSource {
  const { store, clients, tokens } = deps;
  const kept = async (now: Date): Promise<readonly Kept[]> => {
    const names = new Map(clients.list().map((client) => [client.id, agentNameOf(client)]));
    const found: Kept[] = [];
    for (const record of await store.list(MODELS, now)) {
      const payload = deps.seal.open(record);
      if (payload !== undefined) found.push({ record, listed: listedToken(record, payload, names) });
    }
    return found;
  };
  const end = async (gone: readonly Kept[], by: string, now: Date): Promise<readonly RevokedToken[]> => {
    await store.revoke(
      gone.map(({ record }) => record),
      now,
    );
    for (const { listed } of gone) await recordEnd(deps.audit, listed, by);
    return gone.map(({ listed: { id, client } }) => ({ id, client }));
  };

  return {
    list: async (now) => (await kept(now)).map(({ listed }) => listed),
    async revoke({ target, by, now }) {
      const agents = new Map(clients.list().map((client) => [client.id, client.agent]));
      const isTarget = (id: string, client: string) => [id, client, agents.get(client)].includes(target);
      tokens.revoke(({ hash, clientId }) => isTarget(tokenId(hash), clientId), now);
      // The clients too: whoever still has its secret gets no new token.
      const ended = await clients.revoke({ target, by, now });
      const gone = (await kept(now)).filter(({ listed }) => isLive(listed) && isTarget(listed.id, listed.client));
      return [...ended.map((id) => ({ id, client: id })), ...(await end(gone, by, now))];
    },
    async revokeKilled({ covers, by, now }) {
      const names = new Map(clients.list().map((client) => [client.id, agentNameOf(client)]));
      const isCovered = (client: string, user: string | undefined) =>
        covers({ agent: names.get(client) ?? "", client, user });
      tokens.revoke(({ clientId, user }) => isCovered(clientId, user), now);
      const gone = (await kept(now)).filter(({ listed }) => isLive(listed) && isCovered(listed.client, listed.user));
      return (await end(gone, by, now)).length;
    },
  };
}

function isLive({ revokedAt }: ListedToken): boolean {
  return revokedAt === undefined;
}

function recordEnd(audit: AuditLog, { id, kind, agent, client, user }: ListedToken, by: string): Promise<void> {
  return audit.append({
    type: "token.revoked",
    agent: agent || undefined,
    user,
    data: { kind, token: id, client, by },
  });
}

function listedToken(record: OAuthRecord, payload: Payload, names: ReadonlyMap<string, string>): ListedToken {
  const text = (name: string) => (typeof payload[name] === "string" ? (payload[name] as string) : undefined);
  const client = text("clientId") ?? "";
  return {
    id: tokenId(record.id),
    kind: record.model === "RefreshToken" ? "refresh" : "oauth",
    agent: names.get(client) ?? "",
    client,
    user: userOf(payload),
    scopes: text("scope")?.split(" "),
    issuedAt: new Date(Number(payload["iat"]) * 1_000),
    expiresAt: record.expiresAt ?? new Date(0),
    revokedAt: record.revokedAt ?? record.consumedAt,
    lastUsedAt: undefined,
  };
}
