import type { TokenKind } from "./principal.ts";

/** A token as `doorward token list` shows it. */
export interface ListedToken {
  readonly id: string;
  readonly kind: TokenKind | "refresh";
  readonly agent: string;
  readonly client: string;
  readonly user?: string | undefined;
  readonly environment?: string | undefined;
  readonly scopes?: readonly string[] | undefined;
  readonly issuedAt: Date | undefined;
  readonly expiresAt: Date;
  readonly revokedAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
}

/** Whose token it is. */
export interface TokenHolder {
  readonly agent: string;
  readonly client: string;
  readonly user: string | undefined;
}

/** A token that was taken back, and what of its calls must end with it. */
export interface RevokedToken {
  readonly id: string;
  /** `Principal.client` of its calls. */
  readonly client: string;
}

/** Where tokens of some kinds can be looked up and taken back. */
export interface TokenSource {
  list(now: Date): readonly ListedToken[] | Promise<readonly ListedToken[]>;
  /**
   * Revokes one token, or all of an agent or client. It holds in memory before anything is written.
   *
   * @returns Those revoked; none where the target is no token of this source.
   * @throws {Problem} `store_unavailable`, `audit_unavailable`: revoked in this process, but not yet durably.
   */
  revoke(order: { readonly target: string; readonly by: string; readonly now: Date }): Promise<readonly RevokedToken[]>;
  /**
   * Takes back the short-lived tokens that a kill covers, in memory at once: they stay refused after it is lifted. Keys and
   * certificates are not among them.
   *
   * @returns How many.
   * @throws {Problem} `store_unavailable`, `audit_unavailable`: taken back in this process, but not yet durably.
   */
  revokeKilled?(order: {
    readonly covers: (holder: TokenHolder) => boolean;
    readonly by: string;
    readonly now: Date;
  }): Promise<number>;
}
