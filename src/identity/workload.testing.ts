import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { exportJWK, SignJWT } from "jose";
import type { TrustedIssuerConfig } from "../config/schema.ts";

/** An issuer's entry; what the test is about replaces the rest. */
export function issuerConfig(parts: Partial<TrustedIssuerConfig> = {}): TrustedIssuerConfig {
  return {
    name: "ci",
    issuer: "https://ci.example",
    jwks: { kind: "file", path: "/nowhere" },
    audience: ["https://broker.example"],
    private: false,
    agents: [{ agent: "bot", claims: new Map([["sub", ["job:1"]]]) }],
    ...parts,
  };
}

/** A key pair of an issuer that signs. */
export interface Signer {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: object;
}

export async function makeSigner(kid: string): Promise<Signer> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" };
  return { kid, privateKey, publicKey, jwk };
}

/** Signs a token that holds, but for what the test is about. Times are seconds from `now`. */
export function signToken(
  { kid, privateKey }: Signer,
  now: Date,
  parts: {
    readonly claims?: Record<string, unknown>;
    readonly header?: Record<string, unknown>;
    readonly exp?: number;
  } = {},
): Promise<string> {
  const at = Math.floor(now.getTime() / 1_000);
  const claims = { iss: "https://ci.example", aud: "https://broker.example", sub: "job:1", iat: at, ...parts.claims };
  return new SignJWT({ exp: at + (parts.exp ?? 300), ...claims })
    .setProtectedHeader({ alg: "ES256", kid, typ: "JWT", ...parts.header })
    .sign(privateKey);
}
