/** The tables, as Kysely sees them. Database fields are snake_case; instants are ISO 8601 text; flags are 0 or 1. */
export interface Database {
  schema_migrations: SchemaMigrationRow;
  settings: SettingRow;
  secrets: SecretRow;
  bindings: BindingRow;
  api_keys: ApiKeyRow;
  approvals: ApprovalRow;
  kills: KillRow;
  pins: PinRow;
  denied_tokens: DeniedTokenRow;
  oauth_clients: OAuthClientRow;
  oauth_records: OAuthRecordRow;
  person_sessions: PersonSessionRow;
  person_links: PersonLinkRow;
  passkeys: PasskeyRow;
  upstream_logins: UpstreamLoginRow;
}

/** One upgrade of the state that has run; see `migrations.ts`. */
interface SchemaMigrationRow {
  name: string;
  applied_at: string;
}

/** Named values of the home: `home_id`, `owner`, `accepted_config`, … */
interface SettingRow {
  name: string;
  value: Uint8Array;
}

/** One sealed secret. `wrapped_key` is the data key under the key-encryption key; both AADs bind the name and version. */
interface SecretRow {
  name: string;
  version: number;
  wrapped_key: Uint8Array;
  sealed: Uint8Array;
  /** 1 when the value is under 8 bytes and therefore cannot be scrubbed from text. */
  short: number;
  created_at: string;
  rotated_at: string | null;
  expires_at: string | null;
}

/** One pairing of secret, service and origin that was seen; `tag` authenticates the row under the vault's key. */
interface BindingRow {
  /** The reference as written: `local:registrar`, `env:KEY`. */
  secret: string;
  service: string;
  origin: string;
  /** bound: may be used. held: waits for the owner (`doorward service confirm`). */
  state: string;
  bound_at: string;
  tag: Uint8Array;
}

interface ApiKeyRow {
  id: string;
  agent: string;
  environment: string;
  /** JSON list of patterns over scopes; null for all that the agent may do. */
  scopes: string | null;
  /** SHA-256 of the whole key. */
  hash: Uint8Array;
  created_at: string;
  expires_at: string;
  revoked_at: string | null;
  last_used_at: string | null;
}

interface ApprovalRow {
  id: string;
  /** pending | granted | denied | expired | used */
  status: string;
  agent: string;
  client: string;
  user: string | null;
  tenant: string | null;
  service: string;
  operation: string | null;
  /** Digest of the same call (hex SHA-256): agent, service, method, path, query, body, passed headers. */
  digest: string;
  /** Digest of the operation's definition and the rules that asked. */
  basis: string;
  message: string;
  /** The whole canonical request and its preview, sealed (JSON). */
  sealed: Uint8Array;
  requested_at: string;
  /** While pending: when the question lapses. Once granted: when the permission does. */
  expires_at: string;
  answered_at: string | null;
  answered_by: string | null;
  why: string | null;
  /** `once`, or the end of the window for `--for`. */
  window_until: string | null;
  used_at: string | null;
  /** 1 once a repetition was told that it was denied or has expired. */
  told: number;
  quorum: number;
  /** JSON list of who granted so far. */
  granted_by: string;
  /** Authenticates the row under the home's state key. */
  tag: Uint8Array;
}

interface KillRow {
  /** `agent:NAME`, `service:NAME`, … or `all`. */
  target: string;
  why: string;
  set_by: string;
  set_at: string;
}

/** One definition of an MCP server, as it was accepted and as it was seen last; `tag` authenticates the row under the home's key. */
interface PinRow {
  service: string;
  /** tool | prompt | template | instructions | package; `service` for the fact that the service was looked at. */
  kind: string;
  name: string;
  /** accepted: may be offered. held: waits for the owner (`doorward service pin accept`). */
  state: string;
  /** Why it is held. */
  why: string | null;
  /** Hex SHA-256 and canonical JSON of the definition that the owner, or the first look, accepted. */
  accepted_digest: string | null;
  accepted_text: string | null;
  /** The same of the definition that was seen last. */
  seen_digest: string;
  seen_text: string;
  /** The same of what a held definition was before it turned back to the accepted one, and since when; else `null`. */
  between_digest: string | null;
  between_text: string | null;
  between_at: string | null;
  /** JSON list of what a review found in the definition seen last. */
  flags: string;
  /** When `state` or the definition seen last changed. */
  since: string;
  tag: Uint8Array;
}

/** A certificate or foreign token that is refused although its issuer would still vouch for it. */
interface DeniedTokenRow {
  id: string;
  agent: string;
  denied_at: string;
  /** When its issuer's word ends, and the row may go. */
  expires_at: string;
}

/** A person who is signed in; `tag` authenticates the row under the home's key, as in the two tables below. */
interface PersonSessionRow {
  /** SHA-256 of the cookie, hex. */
  hash: string;
  id: string;
  person: string;
  /** JSON: name, how, roles, issuer, groups. */
  facts: string;
  created_at: string;
  expires_at: string;
  tag: Uint8Array;
}

/** A one-time link that signs a person in; the row goes with its use. */
interface PersonLinkRow {
  /** SHA-256 of the link's token, hex. */
  hash: string;
  id: string;
  person: string;
  name: string;
  role: string;
  created_at: string;
  expires_at: string;
  tag: Uint8Array;
}

interface PasskeyRow {
  /** The credential's id, base64url. */
  id: string;
  person: string;
  name: string;
  /** JSON list of the roles that it signs in with. */
  roles: string;
  /** Where it is used: a host name. */
  rp_id: string;
  /** COSE algorithm: -7, -8 or -257. */
  algorithm: number;
  /** SubjectPublicKeyInfo, DER, base64. */
  public_key: string;
  sign_count: number;
  created_at: string;
  tag: Uint8Array;
}

interface OAuthClientRow {
  id: string;
  /** issued: made for an agent by the owner. registered: registered itself. */
  kind: string;
  /** Null for one that registered itself and was not adopted. */
  agent: string | null;
  /** Its metadata (JSON), with the hash of its secret in the secret's place. */
  sealed: Uint8Array;
  created_at: string;
  revoked_at: string | null;
}

/** A code, a token, a session or anything else that the authorization server keeps for a while. */
interface OAuthRecordRow {
  model: string;
  /** SHA-256 of its value, hex; the value itself is not kept. */
  id: string;
  /** SHA-256 of the grant that it comes from. */
  grant_id: string | null;
  /** SHA-256 of another value by which it is found: a user code, the uid of a session. */
  lookup: string | null;
  /** JSON. */
  sealed: Uint8Array;
  expires_at: string | null;
  consumed_at: string | null;
  revoked_at: string | null;
}

/** What Doorward holds as an OAuth client of an MCP server elsewhere. */
interface UpstreamLoginRow {
  service: string;
  /** grant: the tokens of one person. client: how Doorward registered itself there. */
  kind: string;
  /** The person (`user:…`); empty for who has no person, and for a client. */
  owner: string;
  /** Grows with each change. */
  version: number;
  /** JSON. */
  sealed: Uint8Array;
}
