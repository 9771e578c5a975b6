/**
 * The state's upgrades, in order; each runs once, inside one transaction. Never edit one that was released: add another.
 */
export const MIGRATIONS: readonly { readonly name: string; readonly sql: string }[] = [
  {
    name: "0001-first",
    sql: `
      CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
      CREATE TABLE secrets (
        name TEXT PRIMARY KEY, version INTEGER NOT NULL, wrapped_key BLOB NOT NULL, sealed BLOB NOT NULL,
        short INTEGER NOT NULL, created_at TEXT NOT NULL, rotated_at TEXT, expires_at TEXT) STRICT;
      CREATE TABLE bindings (
        secret TEXT NOT NULL, service TEXT NOT NULL, origin TEXT NOT NULL, state TEXT NOT NULL, bound_at TEXT NOT NULL, tag BLOB NOT NULL,
        PRIMARY KEY (secret, service)) STRICT;
      CREATE TABLE api_keys (
        id TEXT PRIMARY KEY, agent TEXT NOT NULL, environment TEXT NOT NULL, hash BLOB NOT NULL,
        created_at TEXT NOT NULL, expires_at TEXT NOT NULL, revoked_at TEXT, last_used_at TEXT) STRICT;
      CREATE TABLE approvals (
        id TEXT PRIMARY KEY, status TEXT NOT NULL, agent TEXT NOT NULL, client TEXT NOT NULL, user TEXT, tenant TEXT,
        service TEXT NOT NULL, operation TEXT, digest TEXT NOT NULL, basis TEXT NOT NULL, message TEXT NOT NULL,
        sealed BLOB NOT NULL, requested_at TEXT NOT NULL, expires_at TEXT NOT NULL, answered_at TEXT, answered_by TEXT,
        why TEXT, window_until TEXT, used_at TEXT, told INTEGER NOT NULL DEFAULT 0, quorum INTEGER NOT NULL,
        granted_by TEXT NOT NULL, tag BLOB NOT NULL) STRICT;
      CREATE INDEX approvals_by_digest ON approvals (digest, requested_at);
      CREATE INDEX approvals_by_status ON approvals (status, expires_at);
      CREATE TABLE kills (target TEXT PRIMARY KEY, why TEXT NOT NULL, set_by TEXT NOT NULL, set_at TEXT NOT NULL) STRICT;
    `,
  },
  {
    name: "0002-pins",
    sql: `
      CREATE TABLE pins (
        service TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, why TEXT,
        accepted_digest TEXT, accepted_text TEXT, seen_digest TEXT NOT NULL, seen_text TEXT NOT NULL,
        flags TEXT NOT NULL, since TEXT NOT NULL, tag BLOB NOT NULL, PRIMARY KEY (service, kind, name)) STRICT;
    `,
  },
  {
    name: "0003-tokens",
    sql: `
      ALTER TABLE api_keys ADD COLUMN scopes TEXT;
      CREATE TABLE denied_tokens (
        id TEXT PRIMARY KEY, agent TEXT NOT NULL, denied_at TEXT NOT NULL, expires_at TEXT NOT NULL) STRICT;
    `,
  },
  {
    name: "0004-people",
    sql: `
      CREATE TABLE person_sessions (
        hash TEXT PRIMARY KEY, id TEXT NOT NULL, person TEXT NOT NULL, facts TEXT NOT NULL,
        created_at TEXT NOT NULL, expires_at TEXT NOT NULL, tag BLOB NOT NULL) STRICT;
      CREATE TABLE person_links (
        hash TEXT PRIMARY KEY, id TEXT NOT NULL, person TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
        created_at TEXT NOT NULL, expires_at TEXT NOT NULL, tag BLOB NOT NULL) STRICT;
      CREATE TABLE passkeys (
        id TEXT PRIMARY KEY, person TEXT NOT NULL, name TEXT NOT NULL, roles TEXT NOT NULL, rp_id TEXT NOT NULL,
        algorithm INTEGER NOT NULL, public_key TEXT NOT NULL, sign_count INTEGER NOT NULL, created_at TEXT NOT NULL,
        tag BLOB NOT NULL) STRICT;
    `,
  },
  {
    name: "0005-oauth",
    sql: `
      CREATE TABLE oauth_clients (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, agent TEXT, sealed BLOB NOT NULL, created_at TEXT NOT NULL,
        revoked_at TEXT) STRICT;
      CREATE TABLE oauth_records (
        model TEXT NOT NULL, id TEXT NOT NULL, grant_id TEXT, lookup TEXT, sealed BLOB NOT NULL, expires_at TEXT,
        consumed_at TEXT, revoked_at TEXT, PRIMARY KEY (model, id)) STRICT;
      CREATE INDEX oauth_records_by_grant ON oauth_records (grant_id);
      CREATE INDEX oauth_records_by_lookup ON oauth_records (lookup);
      CREATE INDEX oauth_records_by_end ON oauth_records (expires_at);
    `,
  },
  {
    name: "0006-pins-between",
    sql: `
      ALTER TABLE pins ADD COLUMN between_digest TEXT;
      ALTER TABLE pins ADD COLUMN between_text TEXT;
      ALTER TABLE pins ADD COLUMN between_at TEXT;
    `,
  },
  {
    name: "0007-upstream-logins",
    sql: `
      CREATE TABLE upstream_logins (
        service TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, version INTEGER NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (service, kind, owner)) STRICT;
    `,
  },
];
