import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import { isObject, type JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { strangerName } from "../identity/principal.ts";
import type { Keyring } from "../vault/keyring.ts";
import { PRIVATE_PARTS } from "./normalise-registration.ts";
import type { OAuthClientRecord, OAuthStore } from "./oauth-store.ts";

/** Clients that registered themselves and that nobody adopted; beyond these the oldest give way. */
const STRANGERS_LIMIT = 1_000;
/** Live clients of one agent. */
const CLIENTS_OF_AGENT_LIMIT = 100;
const SEALING = "oauth-clients";

/** Whom a client acts as: its agent, or nobody. */
export function agentNameOf({ id, agent }: Pick<OAuthClient, "id" | "agent">): string {
  return agent ?? strangerName(id);
}

/** How a client proves itself at the token endpoint (RFC 7591 §2). */
export const AUTH_METHODS = ["client_secret_basic", "private_key_jwt", "tls_client_auth"] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/** An OAuth client, in memory. */
export interface OAuthClient {
  readonly id: string;
  /** Whether the owner made it for an agent, or it registered itself. */
  readonly kind: "issued" | "registered";
  /** `undefined`: it registered itself, and may do nothing until a person adopts it. */
  readonly agent: string | undefined;
  /** RFC 7591 names; `client_secret` holds the secret's hash. */
  readonly metadata: JsonObject;
  readonly createdAt: Date;
  readonly revokedAt: Date | undefined;
}

export interface IssueClient {
  readonly agent: string;
  readonly auth: AuthMethod;
  /** For `private_key_jwt`: the client's public keys. */
  readonly jwks: JsonObject | undefined;
  /** For `tls_client_auth`: a subject DN, or the URI of a subject alternative name. */
  readonly subject: string | undefined;
  readonly by: string;
  readonly now: Date;
}

export interface OAuthClientsDeps {
  readonly store: Pick<OAuthStore, "clients" | "putClient" | "removeClient">;
  readonly keyring: Pick<Keyring, "seal" | "unseal">;
  readonly audit: AuditLog;
}

/** The OAuth clients of this home, held in memory so that each use of a token can ask whether its client still stands. */
export class OAuthClients {
  readonly #deps: OAuthClientsDeps;
  readonly #byId = new Map<string, OAuthClient>();

  private constructor(deps: OAuthClientsDeps) {
    this.#deps = deps;
  }

  /** @throws {Problem} `store_unavailable`. */
  static async load(deps: OAuthClientsDeps): Promise<OAuthClients> {
    const clients = new OAuthClients(deps);
    for (const record of await deps.store.clients()) {
      const metadata = deps.keyring.unseal(SEALING, [record.id, record.kind, record.agent ?? ""], record.sealed);
      // A row that somebody changed opens no door.
      if (metadata === undefined) continue;
      clients.#byId.set(record.id, { ...record, metadata: JSON.parse(metadata.toString("utf8")) as JsonObject });
    }
    return clients;
  }

  /** A client that stands, or `undefined`. */
  find(id: string): OAuthClient | undefined {
    const client = this.#byId.get(id);
    return client?.revokedAt === undefined ? client : undefined;
  }

  /** Every client, the revoked ones too; oldest first. */
  list(): readonly OAuthClient[] {
    return [...this.#byId.values()];
  }

  /**
   * Makes a client for an agent.
   *
   * @returns The secret here and never again; `undefined` where it proves itself by a key or a certificate.
   * @throws {Problem} `invalid_request`, `audit_unavailable`, `store_unavailable`.
   */
  async issue(request: IssueClient): Promise<{ readonly client: OAuthClient; readonly secret: string | undefined }> {
    const { agent, auth, by, now } = request;
    const live = this.list().filter((client) => client.agent === agent && client.revokedAt === undefined);
    if (live.length >= CLIENTS_OF_AGENT_LIMIT) {
      throw new Problem("invalid_request", {
        detail: `\`${agent}\` has ${CLIENTS_OF_AGENT_LIMIT} clients already`,
        remedy: "Revoke those that are not in use: `doorward token revoke CLIENT_ID`.",
      });
    }
    const id = newId("client");
    const secret = auth === "client_secret_basic" ? `dwc_${randomBytes(32).toString("base64url")}` : undefined;
    const client: OAuthClient = {
      id,
      kind: "issued",
      agent,
      metadata: {
        ...issuedMetadata(id, request),
        ...(secret === undefined ? {} : { client_secret: hashSecret(secret) }),
      },
      createdAt: now,
      revokedAt: undefined,
    };
    await this.#deps.audit.append({ type: "token.issued", agent, data: { kind: "client", client: id, auth, by } });
    await this.#save(client);
    return { client, secret };
  }

  /**
   * Keeps a client that registered itself. It has an identity and nothing else.
   *
   * @param agent - Of the registration token it came with; `undefined` for a stranger.
   * @throws {Problem} `audit_unavailable`, `store_unavailable`.
   */
  async register(metadata: JsonObject, agent: string | undefined, now: Date): Promise<void> {
    const id = String(metadata["client_id"]);
    const secret = metadata["client_secret"];
    const kept = typeof secret === "string" ? { ...metadata, client_secret: hashSecret(secret) } : metadata;
    const client: OAuthClient = { id, kind: "registered", agent, metadata: kept, createdAt: now, revokedAt: undefined };
    await this.#deps.audit.append({
      type: "token.issued",
      agent,
      data: { kind: "client", client: id, by: agent === undefined ? "itself" : "registration token" },
    });
    await this.#dropOldStrangers();
    await this.#save(client);
  }

  /**
   * Lets a client that registered itself act as an agent, from its next call on.
   *
   * @throws {Problem} `not_found`, `invalid_request` when it acts as another already; `audit_unavailable`, `store_unavailable`.
   */
  async adopt({ id, agent, by }: { readonly id: string; readonly agent: string; readonly by: string }): Promise<void> {
    const client = this.find(id);
    if (client === undefined) throw noSuchClient(id);
    if (client.agent !== undefined && client.agent !== agent) {
      throw new Problem("invalid_request", {
        detail: `the client acts as \`${client.agent}\` already`,
        remedy: "Revoke it with `doorward token revoke CLIENT_ID`, and let it register again.",
      });
    }
    await this.#deps.audit.append({ type: "grant.issued", agent, data: { kind: "client", client: id, by } });
    await this.#save({ ...client, agent });
  }

  /**
   * Revokes one client, or all of an agent. It holds in memory before anything is written.
   *
   * @returns The ids. @throws {Problem} `audit_unavailable`, `store_unavailable`: revoked here, but not yet durably.
   */
  async revoke({ target, by, now }: { target: string; by: string; now: Date }): Promise<readonly string[]> {
    const ended = this.list()
      .filter(({ id, agent, revokedAt }) => (id === target || agent === target) && revokedAt === undefined)
      .map((client) => ({ ...client, revokedAt: now }));
    for (const client of ended) this.#byId.set(client.id, client);
    for (const client of ended) {
      await this.#save(client);
      const data = { kind: "client", client: client.id, by };
      await this.#deps.audit.append({ type: "token.revoked", agent: client.agent, data });
    }
    return ended.map(({ id }) => id);
  }

  async #save(client: OAuthClient): Promise<void> {
    const { id, kind, agent, metadata } = client;
    const sealed = this.#deps.keyring.seal(SEALING, [id, kind, agent ?? ""], Buffer.from(JSON.stringify(metadata)));
    const record: OAuthClientRecord = {
      id,
      kind,
      agent,
      sealed,
      createdAt: client.createdAt,
      revokedAt: client.revokedAt,
    };
    await this.#deps.store.putClient(record);
    this.#byId.set(id, client);
  }

  async #dropOldStrangers(): Promise<void> {
    const strangers = this.list().filter(({ kind, agent }) => kind === "registered" && agent === undefined);
    for (const { id } of strangers.slice(0, Math.max(0, strangers.length - STRANGERS_LIMIT + 1))) {
      await this.#deps.store.removeClient(id);
      this.#byId.delete(id);
    }
  }
}

/** SHA-256: the secret has 256 random bits, so that a slow hash would protect nothing. */
function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** Whether a secret is the one whose hash is kept; in a time that tells nothing. Never throws. */
export function isClientSecret(kept: string | undefined, presented: string): boolean {
  return kept?.length === 64 && timingSafeEqual(Buffer.from(kept), Buffer.from(hashSecret(presented)));
}

function issuedMetadata(id: string, { agent, auth, jwks, subject }: IssueClient): JsonObject {
  const common = {
    client_id: id,
    client_name: agent,
    token_endpoint_auth_method: auth,
    grant_types: ["client_credentials", TOKEN_EXCHANGE],
    redirect_uris: [],
    response_types: [],
  };
  switch (auth) {
    case "client_secret_basic":
      return common;
    case "private_key_jwt":
      if (jwks === undefined) throw missing("the client's public keys", "--jwks FILE");
      return { ...common, jwks: publicKeys(jwks) };
    case "tls_client_auth": {
      if (subject === undefined) throw missing("what its certificate says", "--subject DN|URI");
      const field = /^[a-z][a-z0-9+.-]*:/i.test(subject) ? "tls_client_auth_san_uri" : "tls_client_auth_subject_dn";
      return { ...common, [field]: subject, tls_client_certificate_bound_access_tokens: true };
    }
  }
}

/** RFC 8693. */
export const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";

/** A JWK Set without private parts. @throws {Problem} `invalid_request` when one has any: it was shown to us, so it is spent. */
function publicKeys(jwks: JsonObject): JsonObject {
  const keys = jwks["keys"];
  const usable = Array.isArray(keys) && keys.length > 0 && keys.length <= 10;
  if (!usable || !keys.every(isObject)) {
    throw new Problem("invalid_request", {
      detail: "the JWK set must hold 1 to 10 keys",
      remedy: 'Write `{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "…"}]}`.',
    });
  }
  if (keys.some((key) => PRIVATE_PARTS.some((part) => part in (key as JsonObject)))) {
    throw new Problem("invalid_request", {
      detail: "the JWK set holds a private or symmetric key",
      remedy: "Make a new key pair, and give its public half.",
    });
  }
  return { keys };
}

function missing(what: string, option: string): Problem {
  return new Problem("invalid_request", { detail: `${what} is missing`, remedy: `Add \`${option}\`.` });
}

function noSuchClient(id: string): Problem {
  return new Problem("not_found", {
    detail: `there is no client \`${id.slice(0, 100).replaceAll("`", "?")}\``,
    remedy: "See `doorward agent clients`.",
  });
}
