import { createHash } from "node:crypto";
import type { AuthorizationDetails } from "./authorization-details.ts";
import type { LoadToken } from "./load-token.ts";

/** What access tokens and refresh tokens begin with, so that secret scanners and people recognise one. */
export const ACCESS_PREFIX = "dwt_";
export const REFRESH_PREFIX = "dwr_";
/** Characters; what is longer is no token, and is not even hashed. */
const TOKEN_LENGTH_LIMIT = 256;
/** Tokens in memory before those that ended are dropped. */
const SWEEP_AT = 10_000;

/** The models of oidc-provider that are access tokens. */
export type AccessModel = "AccessToken" | "ClientCredentials";

/** An access token that was issued here, as each use of it is judged. */
export interface LiveToken {
  readonly model: AccessModel;
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  readonly clientId: string;
  readonly user: string | undefined;
  /** RFC 8707: the one resource that it is for. */
  readonly audience: string;
  /** Patterns over `service:operation`; none: nothing. */
  readonly scopes: readonly string[];
  /** What it was issued for beside (RFC 9396); what they leave of the scopes stands in `scopes`. */
  readonly details: AuthorizationDetails | undefined;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** Thumbprint of the key that it is bound to (RFC 9449). */
  readonly dpopKey: string | undefined;
  /** Thumbprint of the certificate that it is bound to (RFC 8705). */
  readonly certificate: string | undefined;
  /** SHA-256 of its grant. */
  readonly grantId: string | undefined;
  /** The token that it was exchanged for (RFC 8693); it ends with that one. */
  readonly parent: LiveToken | undefined;
  revokedAt: Date | undefined;
}

/**
 * The access tokens in memory, by hash.
 *
 * Tokens are opaque: nothing in one can be forged, confused or replayed elsewhere, and a revocation is a flag here.
 */
export class AccessTokens {
  readonly #byHash = new Map<string, LiveToken>();
  readonly #load: LoadToken;
  #sweepAt = SWEEP_AT;

  /** @param load - Reads a token that another process issued, or this one before it was started anew. */
  constructor(load: LoadToken) {
    this.#load = load;
  }

  /** Finds the token, dead or alive: at once when it is in memory. The caller judges it, at every use. */
  find(token: string): LiveToken | undefined | Promise<LiveToken | undefined> {
    if (token.length > TOKEN_LENGTH_LIMIT) return undefined;
    const hash = hashToken(token);
    return this.#byHash.get(hash) ?? this.byHash(hash);
  }

  async byHash(hash: string): Promise<LiveToken | undefined> {
    const known = this.#byHash.get(hash);
    if (known !== undefined) return known;
    const loaded = await this.#load(hash, (parent) => this.byHash(parent));
    if (loaded === undefined) return undefined;
    // Another request may have loaded it meanwhile: there must be one value that a revocation marks.
    const first = this.#byHash.get(hash);
    if (first !== undefined) return first;
    this.add(loaded);
    return loaded;
  }

  add(token: LiveToken): void {
    if (this.#byHash.size >= this.#sweepAt) this.#sweep(token.issuedAt);
    this.#byHash.set(token.hash, token);
  }

  /** Marks tokens as revoked, from now on. */
  revoke(which: (token: LiveToken) => boolean, now: Date): void {
    for (const token of this.#byHash.values()) if (which(token)) token.revokedAt ??= now;
  }

  #sweep(now: Date): void {
    for (const [hash, token] of this.#byHash) if (token.expiresAt <= now) this.#byHash.delete(hash);
    this.#sweepAt = Math.max(SWEEP_AT, 2 * this.#byHash.size);
  }
}

/** SHA-256 in hex: what is stored and looked up instead of a token. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** The id by which a token is listed and revoked; it opens nothing. */
export function tokenId(hash: string): string {
  return `tok_${hash.slice(0, 24)}`;
}

/** Whether a token, or one of those that it was exchanged for, was revoked. */
export function isRevoked(token: LiveToken): boolean {
  return token.revokedAt !== undefined || (token.parent !== undefined && isRevoked(token.parent));
}
