import { Problem } from "../base/problem.ts";
import type { ListedToken, TokenSource } from "../identity/token-source.ts";
import { type AdminAction, optionalText, textArgument } from "./admin-action.ts";
import type { RevokeTokens } from "./revoke-tokens.ts";

export interface TokenActionsDeps {
  readonly sources: () => readonly TokenSource[];
  readonly revoke: RevokeTokens;
  readonly now: () => Date;
}

/** `token.*`: whatever proves an agent, wherever it was issued. */
export function tokenActions({ sources, revoke, now }: TokenActionsDeps): readonly AdminAction[] {
  const list = async () => (await Promise.all(sources().map((source) => source.list(now())))).flat();
  return [
    {
      name: "token.list",
      proof: "key",
      async run(args) {
        const agent = optionalText(args, "agent");
        const tokens = (await list()).filter((token) => agent === undefined || token.agent === agent);
        return { tokens: tokens.map((token) => shown(token, now())) };
      },
    },
    {
      name: "token.revoke",
      proof: "owner",
      async run(args, by) {
        const target = textArgument(args, "target");
        const { revoked, streams } = await revoke({ target, by });
        if (revoked.length === 0 && !(await list()).some(({ id, agent }) => id === target || agent === target)) {
          throw new Problem("not_found", {
            detail: `there is no token \`${target.slice(0, 64).replaceAll("`", "?")}\``,
            remedy: "See `doorward token list`.",
          });
        }
        return { revoked, streams_cut: streams };
      },
    },
  ];
}

function shown(token: ListedToken, now: Date) {
  const { id, kind, agent, client, user, environment, scopes, issuedAt, expiresAt, revokedAt, lastUsedAt } = token;
  return {
    id,
    kind,
    agent,
    client,
    user: user ?? null,
    environment: environment ?? null,
    scopes: scopes ?? null,
    issued_at: issuedAt?.toISOString() ?? null,
    expires_at: expiresAt.toISOString(),
    revoked_at: revokedAt?.toISOString() ?? null,
    last_used_at: lastUsedAt?.toISOString() ?? null,
    live: revokedAt === undefined && expiresAt > now,
  };
}
