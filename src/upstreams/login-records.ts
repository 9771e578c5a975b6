import { z } from "zod";
import type { Keyring } from "../vault/keyring.ts";
import type { LoginKey, LoginRow } from "./login-store.ts";

const text = z.string();

/** Tokens that a person's sign-in gave, and the one place that each of them may go to. */
const grantRecord = z.strictObject({
  /** `grt_…`: another one with each sign-in. */
  id: text,
  /** Of the MCP server: origin and path. */
  endpoint: text,
  issuer: text,
  resource: text,
  tokenEndpoint: text,
  revocationEndpoint: text.optional(),
  clientId: text,
  /** Of a client that registered itself; a configured one's lies in the vault. */
  clientSecret: text.optional(),
  method: z.enum(["client_secret_basic", "client_secret_post"]),
  accessToken: text,
  refreshToken: text.optional(),
  grantedAtMs: z.number(),
  issuedAtMs: z.number(),
  /** Absent: until the server refuses it. */
  expiresAtMs: z.number().optional(),
});

/** How Doorward registered itself at an authorization server. */
const registrationRecord = z.strictObject({
  issuer: text,
  redirectUri: text,
  clientId: text,
  clientSecret: text.optional(),
  method: z.enum(["client_secret_basic", "client_secret_post"]),
  /** Of the secret. */
  expiresAtMs: z.number().optional(),
});

export type GrantRecord = z.infer<typeof grantRecord>;
export type RegistrationRecord = z.infer<typeof registrationRecord>;

/** Whose tokens: of a service, for one person (`user:…`), or for all who have no person (`""`). */
export interface GrantKey {
  readonly service: string;
  readonly owner: string;
}

/** Seals records for their rows, and opens them: none can be read, changed or moved to another person in the database. */
export interface LoginRecords {
  sealGrant(of: GrantKey, version: number, record: GrantRecord): LoginRow;
  /** @returns `undefined` for a row that was changed or that belongs elsewhere. */
  openGrant(row: LoginRow): GrantRecord | undefined;
  sealRegistration(service: string, record: RegistrationRecord): LoginRow;
  openRegistration(row: LoginRow): RegistrationRecord | undefined;
}

const PURPOSE = "upstream-logins";

/** @param keyring - Of the home: the same hierarchy as the vault's. */
export function createLoginRecords(keyring: Pick<Keyring, "seal" | "unseal">): LoginRecords {
  const sealed = (key: LoginKey, version: number, record: object): LoginRow => {
    const bytes = Buffer.from(JSON.stringify(record), "utf8");
    try {
      return { ...key, version, sealed: keyring.seal(PURPOSE, placeOf({ ...key, version }), bytes) };
    } finally {
      bytes.fill(0);
    }
  };
  const open = <T>(schema: z.ZodType<T>, row: LoginRow): T | undefined => {
    const bytes = keyring.unseal(PURPOSE, placeOf(row), row.sealed);
    if (bytes === undefined) return undefined;
    const record = schema.safeParse(JSON.parse(bytes.toString("utf8")));
    bytes.fill(0);
    return record.data;
  };
  return {
    sealGrant: (of, version, record) => sealed({ ...of, kind: "grant" }, version, record),
    openGrant: (row) => open(grantRecord, row),
    sealRegistration: (service, record) => sealed({ service, kind: "client", owner: "" }, 1, record),
    openRegistration: (row) => open(registrationRecord, row),
  };
}

function placeOf({ service, kind, owner, version }: LoginKey & { readonly version: number }): string[] {
  return [service, kind, owner, String(version)];
}
