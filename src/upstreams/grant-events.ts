import type { GrantKey, GrantRecord } from "./login-records.ts";

/** A token was read, to be handed out. */
export function readEvent({ service, owner }: GrantKey, { id, endpoint }: GrantRecord) {
  const user = owner === "" ? undefined : owner;
  const data = { secret: `login:${service}`, version: id, origin: new URL(endpoint).origin };
  return { type: "secret.read" as const, service, user, data };
}

/** A token was given: by a sign-in, or by a renewal. */
export function issuedEvent(
  { service, owner }: GrantKey,
  { id, issuer, clientId }: GrantRecord,
  by: string,
  how: string,
) {
  const user = owner === "" ? undefined : owner;
  const data = { kind: "upstream", token: id, client: clientId, issuer, how, by };
  return { type: "token.issued" as const, service, user, data };
}

/** A token is gone. @param record - `undefined` for a row that could not be opened. */
export function revokedEvent(
  { service, owner }: GrantKey,
  record: GrantRecord | undefined,
  by: string,
  reason: string,
) {
  const user = owner === "" ? undefined : owner;
  return {
    type: "token.revoked" as const,
    service,
    user,
    data: { kind: "upstream", token: record?.id ?? null, by, reason },
  };
}
