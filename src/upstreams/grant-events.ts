import type { GrantKey, GrantRecord } from "./login-records.ts";

/** A token was read, to be handed out. */
export function readEvent(key: GrantKey, { id, endpoint }: GrantRecord) {
  const data = { secret: `login:${key.service}`, version: id, origin: new URL(endpoint).origin };
  return { type: "secret.read" as const, ...subjectOf(key), data };
}

/** A token was given: by a sign-in, or by a renewal. */
export function issuedEvent(key: GrantKey, { id, issuer, clientId }: GrantRecord, by: string, how: string) {
  const data = { kind: "upstream", token: id, client: clientId, issuer, how, by };
  return { type: "token.issued" as const, ...subjectOf(key), data };
}

/** A token is gone. @param record - `undefined` for a row that could not be opened. */
export function revokedEvent(key: GrantKey, record: GrantRecord | undefined, by: string, reason: string) {
  return {
    type: "token.revoked" as const,
    ...subjectOf(key),
    data: { kind: "upstream", token: record?.id ?? null, by, reason },
  };
}

/** Who and what an event about a sign-in is about; one that is for all who have no person names nobody. */
export function subjectOf({ service, owner }: GrantKey) {
  return { service, user: owner === "" ? undefined : owner };
}
