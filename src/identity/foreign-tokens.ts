import type { AuditLog } from "../audit/event.ts";
import type { DeniedToken, DeniedTokenStore } from "./denied-token-store.ts";
import type { TokenKind } from "./principal.ts";
import type { ListedToken, RevokedToken, TokenSource } from "./token-source.ts";

/** Tokens remembered as seen; the one seen first makes room. */
const SEEN_LIMIT = 10_000;
/** For how long the id of a token that was never seen is refused: 400 days, longer than certificates of clients live. */
const UNSEEN_DENIAL_MS = 400 * 86_400_000;
/** `cert_…` and `wlt_…`: digests, so that one can be refused before it is ever seen. */
const ID = /^(cert|wlt)_[0-9a-f]{32}$/;

/** A certificate or a token of a foreign issuer that proved an agent. */
export interface SeenToken {
  readonly id: string;
  readonly kind: TokenKind;
  readonly agent: string;
  readonly client: string;
  readonly expiresAt: Date;
}

/** What others vouch for: the certificates and workload tokens that were seen, and those that are refused all the same. */
export interface ForeignTokens extends TokenSource {
  /** Judged at every use. */
  isDenied(id: string): boolean;
  seen(token: SeenToken, now: Date): void;
}

/**
 * Reads the refusals that outlived the last process.
 *
 * @throws {Problem} `store_unavailable`: without them nobody may be let in by them.
 */
export async function createForeignTokens(
  deps: { readonly store: DeniedTokenStore; readonly audit: AuditLog },
  now: Date,
): Promise<ForeignTokens> {
  await deps.store.prune(now);
  /** Refused here, and not written down yet. */
  const unwritten = new Set<string>();
  const denied = new Map((await deps.store.load()).map((one) => [one.id, one]));
  const seen = new Map<string, SeenToken & { usedAt: Date }>();

  const find = (target: string, at: Date): readonly SeenToken[] => {
    const known = [...seen.values()].filter(({ id, agent, client }) => [id, agent, client].includes(target));
    if (known.length > 0 || !ID.test(target)) return known;
    const kind = target.startsWith("cert_") ? "certificate" : "workload";
    return [{ id: target, kind, agent: "", client: target, expiresAt: new Date(at.getTime() + UNSEEN_DENIAL_MS) }];
  };

  const refuse = async (tokens: readonly SeenToken[], { by, at }: { by: string; at: Date }) => {
    // A repetition writes again what an earlier failure may have kept from the store.
    const fresh = tokens.filter(({ id, expiresAt }) => expiresAt > at && (!denied.has(id) || unwritten.has(id)));
    const refusals = fresh.map(({ id, agent, expiresAt }): DeniedToken => ({ id, agent, deniedAt: at, expiresAt }));
    for (const one of refusals) {
      denied.set(one.id, one);
      unwritten.add(one.id);
    }
    await deps.store.insert(refusals);
    await Promise.all(
      fresh.map(({ id, kind, agent }) =>
        deps.audit.append({ type: "token.revoked", agent: agent || undefined, data: { kind, token: id, by } }),
      ),
    );
    for (const { id } of fresh) unwritten.delete(id);
    return fresh.map(({ id, client }): RevokedToken => ({ id, client }));
  };

  return {
    isDenied: (id) => denied.size > 0 && denied.has(id),
    seen(token, at) {
      const known = seen.get(token.id);
      if (known !== undefined) known.usedAt = at;
      else seen.set(token.id, { ...token, usedAt: at });
      if (seen.size > SEEN_LIMIT) seen.delete(seen.keys().next().value!);
    },
    list: () => [
      ...[...seen.values()].map((token) => listed(token, denied.get(token.id)?.deniedAt)),
      ...[...denied.values()].filter(({ id }) => !seen.has(id)).map(listedDenial),
    ],
    revoke: ({ target, by, now: at }) => refuse(find(target, at), { by, at }),
    async revokeKilled({ covers, by, now: at }) {
      const killed = [...seen.values()].filter(
        ({ kind, agent, client }) => kind === "workload" && covers({ agent, client, user: undefined }),
      );
      return (await refuse(killed, { by, at })).length;
    },
  };
}

function listed({ usedAt, ...token }: SeenToken & { usedAt: Date }, revokedAt: Date | undefined): ListedToken {
  return { ...token, issuedAt: undefined, revokedAt, lastUsedAt: usedAt };
}

function listedDenial({ id, agent, deniedAt, expiresAt }: DeniedToken): ListedToken {
  const kind = id.startsWith("cert_") ? "certificate" : "workload";
  return { id, kind, agent, client: id, issuedAt: undefined, expiresAt, revokedAt: deniedAt, lastUsedAt: undefined };
}
