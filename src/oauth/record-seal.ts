import type { Payload } from "oidc-provider";
import type { Keyring } from "../vault/keyring.ts";
import { type AccessModel, hashToken, type LiveToken } from "./access-tokens.ts";
import { type AuthorizationDetails, readDetails } from "./authorization-details.ts";
import type { OAuthRecord } from "./oauth-store.ts";

const SEALING = "oauth-records";
/** What is presented by its value; that value is not kept, not even sealed. */
const BEARERS = new Set([
  "AccessToken",
  "ClientCredentials",
  "RefreshToken",
  "AuthorizationCode",
  "InitialAccessToken",
]);

/** Turns what oidc-provider stores into rows that tell nothing to who reads the file, and that nobody can change. */
export interface RecordSeal {
  seal(model: string, value: string, payload: Payload, expiresAt: Date | undefined): OAuthRecord;
  /** @returns `undefined` for a row that was changed, or that belongs elsewhere. */
  open(record: OAuthRecord): Payload | undefined;
}

export function createRecordSeal(keyring: Pick<Keyring, "seal" | "unseal">): RecordSeal {
  return {
    seal(model, value, payload, expiresAt) {
      const id = hashToken(value);
      const { jti, ...rest } = payload;
      const kept = BEARERS.has(model) ? rest : payload;
      const grantId = textOf(payload["grantId"]);
      const lookup = textOf(payload["userCode"]) ?? (model === "Session" ? textOf(payload["uid"]) : undefined);
      return {
        model,
        id,
        grantId: grantId === undefined ? undefined : hashToken(grantId),
        lookup: lookup === undefined ? undefined : hashToken(lookup),
        sealed: keyring.seal(SEALING, [model, id], Buffer.from(JSON.stringify(kept))),
        expiresAt,
        consumedAt: undefined,
        revokedAt: undefined,
      };
    },
    open({ model, id, sealed }) {
      const opened = keyring.unseal(SEALING, [model, id], sealed);
      return opened === undefined ? undefined : (JSON.parse(opened.toString("utf8")) as Payload);
    },
  };
}

/** The access token that a record holds. @param parent - As {@link parentOf} names it. */
export function liveTokenOf(record: OAuthRecord, payload: Payload, parent: LiveToken | undefined): LiveToken {
  return {
    model: record.model as AccessModel,
    hash: record.id,
    clientId: String(payload["clientId"]),
    user: userOf(payload),
    audience: textOf(payload["aud"]) ?? "",
    scopes: textOf(payload["scope"])?.split(" ") ?? [],
    details: detailsOf(payload),
    issuedAt: new Date(Number(payload["iat"]) * 1_000),
    expiresAt: new Date(Number(payload["exp"]) * 1_000),
    dpopKey: textOf(payload["jkt"]),
    certificate: textOf(payload["x5t#S256"]),
    grantId: record.grantId,
    parent,
    revokedAt: record.revokedAt,
  };
}

/** INVARIANT: details that cannot be read are no details that are missing: such a token is none. */
function detailsOf(payload: Payload): AuthorizationDetails | undefined {
  if (payload["rar"] === undefined) return undefined;
  const read = readDetails(payload["rar"]);
  if (!read.ok) throw new Error(`a token's authorization details cannot be read: ${read.problem}`);
  return read.details;
}

/** The hash of the token that this one was exchanged for. */
export function parentOf(payload: Payload): string | undefined {
  return textOf(extraOf(payload)["parent"]);
}

/** The person that a token is for, by their own consent or because an issuer vouched for them. */
export function userOf(payload: Payload): string | undefined {
  return textOf(payload["accountId"]) ?? textOf(extraOf(payload)["sub"]);
}

/** The name of the issuer that vouched for the person. */
export function voucherOf(payload: Payload): string | undefined {
  return textOf(extraOf(payload)["issuer"]);
}

function extraOf(payload: Payload): Payload {
  const extra = payload["extra"];
  return typeof extra === "object" && extra !== null ? (extra as Payload) : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
