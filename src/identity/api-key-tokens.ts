import type { ApiKeys } from "./api-keys.ts";
import type { TokenSource } from "./token-source.ts";

/** The API keys, as `doorward token` sees them. */
export function apiKeyTokens(keys: Pick<ApiKeys, "list" | "revoke">): TokenSource {
  return {
    list: () =>
      keys.list().map(({ id, agent, environment, scopes, createdAt, expiresAt, revokedAt, lastUsedAt }) => ({
        id,
        kind: "api_key",
        agent,
        client: id,
        environment,
        scopes,
        issuedAt: createdAt,
        expiresAt,
        revokedAt,
        lastUsedAt,
      })),
    revoke: async (order) => (await keys.revoke(order)).map((id) => ({ id, client: id })),
  };
}
