/** The tables, as Kysely sees them. Database fields are snake_case; instants are ISO 8601 text; flags are 0 or 1. */
export interface Database {
  schema_migrations: SchemaMigrationRow;
  settings: SettingRow;
  secrets: SecretRow;
  bindings: BindingRow;
  api_keys: ApiKeyRow;
  approvals: ApprovalRow;
  kills: KillRow;
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
