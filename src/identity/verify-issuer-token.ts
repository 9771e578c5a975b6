import type { JWTPayload } from "jose";
import { isObject, type JsonObject } from "../base/json.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { IssuerConfig } from "../config/schema.ts";
import type { IssuerKeys } from "./issuer-keys.ts";

/** Seconds by which clocks may differ. */
export const CLOCK_TOLERANCE_SECONDS = 60;
/** Characters; what is longer is not even decoded. */
const TOKEN_LENGTH_LIMIT = 16 * 1024;
/** Asymmetric ones alone: what signs must not be what anybody can read. */
const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];
/** What would lead us to somebody else's key, or to a meaning that we do not know (RFC 7515 §4.1). */
const REFUSED_HEADERS = ["jku", "x5u", "jwk", "x5c", "crit", "b64"];
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/** A token that names a trusted issuer. */
export interface IssuerToken<Issuer extends IssuerConfig = IssuerConfig> {
  readonly token: string;
  readonly issuer: Issuer;
  /** `aud`: one of these. */
  readonly audience: readonly string[];
  /** `typ`: one of these, in lower case. */
  readonly types: readonly string[];
  /** Of a token that names no type; without it such a token is refused. */
  readonly defaultType?: string;
  readonly now: Date;
}

/** A JWT by its form and length; nothing is said of what it holds. */
export function isJwt(token: string): boolean {
  return token.length <= TOKEN_LENGTH_LIMIT && JWT.test(token);
}

/** The issuer that a token names, believed only when one of its keys has signed it. */
export function issuerNamedBy<Issuer extends IssuerConfig>(
  token: string,
  issuers: ReadonlyMap<string, Issuer>,
): Issuer | undefined {
  if (issuers.size === 0) return undefined;
  const iss = decodePart(token, 1)?.["iss"];
  for (const issuer of issuers.values()) if (issuer.issuer === iss) return issuer;
  return undefined;
}

/**
 * Verifies type, signature, issuer, audience and time of a token; `exp` is a must.
 *
 * @returns The claims, or one word for the evidence. Never rejects: whatever goes wrong is a fault, and nobody is let in.
 */
export async function verifyIssuerToken(
  keys: IssuerKeys,
  presented: IssuerToken,
): Promise<{ readonly claims: JWTPayload } | { readonly fault: string }> {
  const { token, types, defaultType, now } = presented;
  try {
    const header = decodePart(token, 0);
    if (header === undefined || typeof header["alg"] !== "string") return { fault: "malformed" };
    if (REFUSED_HEADERS.some((name) => Object.hasOwn(header, name))) return { fault: "header_not_allowed" };
    const { typ = defaultType } = header;
    if (typeof typ !== "string" || !types.includes(typ.toLowerCase())) return { fault: "wrong_type" };
    const payload = await verifySignature(keys, presented);
    if (typeof payload.exp !== "number") return { fault: "no_expiry" };
    if (payload.iat !== undefined && payload.iat > now.getTime() / 1_000 + CLOCK_TOLERANCE_SECONDS) {
      return { fault: "not_yet_valid" };
    }
    return { claims: payload };
  } catch (error) {
    return { fault: faultOf(error) };
  }
}

/** The header (0) or the claims (1) of a JWT, unverified; `undefined` for what is none. */
function decodePart(token: string, part: 0 | 1): JsonObject | undefined {
  const text = Buffer.from(token.split(".")[part] ?? "", "base64url");
  const parsed = parseStrictJson(text);
  return parsed.ok && isObject(parsed.value) ? parsed.value : undefined;
}

async function verifySignature(keys: IssuerKeys, { token, issuer, audience, now }: IssuerToken): Promise<JWTPayload> {
  const options = {
    issuer: issuer.issuer,
    audience: [...audience],
    algorithms: ALGORITHMS,
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    currentDate: now,
    requiredClaims: ["exp"],
  };
  // Loaded when it is needed, so that a start without such issuers does not wait for it.
  const { errors, jwtVerify } = await import("jose");
  try {
    return (await jwtVerify(token, await keys.current(issuer, now), options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
    return (await jwtVerify(token, await keys.renewed(issuer, now), options)).payload;
  }
}

/** One word for the evidence. The codes are those of `jose`. */
function faultOf(error: unknown): string {
  const { code, claim } = error as { readonly code?: unknown; readonly claim?: unknown };
  if (typeof code !== "string" || !code.startsWith("ERR_J")) return "keys_unavailable";
  if (code === "ERR_JWT_EXPIRED") return "expired";
  return typeof claim === "string" ? `claim_${claim.slice(0, 32)}` : code.slice(0, 64).toLowerCase();
}
