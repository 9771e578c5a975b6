import { createHash, createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";

/** A key pair that signs JWTs by hand, so that tests can make wrong ones. */
export function signer() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const { kty, crv, x } = publicKey.export({ format: "jwk" });
  return { privateKey, publicJwk: { kty, crv, x } };
}

type Part = Record<string, unknown>;

const encode = (part: Part) => Buffer.from(JSON.stringify(part)).toString("base64url");

/** A JWT with whatever header and claims, signed as Ed25519 unless `by` says otherwise. */
export function jwt(header: Part, claims: Part, by: KeyObject | { readonly hmac: string } | undefined): string {
  const body = `${encode(header)}.${encode(claims)}`;
  if (by === undefined) return `${body}.`;
  if ("hmac" in by) return `${body}.${createHmac("sha256", by.hmac).update(body).digest("base64url")}`;
  return `${body}.${sign(null, Buffer.from(body), by).toString("base64url")}`;
}

/** A proof of possession (RFC 9449 §4.2). */
export function dpopProof(
  { privateKey, publicJwk }: ReturnType<typeof signer>,
  use: { readonly method: string; readonly url: string; readonly token?: string },
  { header = {}, claims = {} }: { readonly header?: Part; readonly claims?: Part } = {},
): string {
  const ath = use.token === undefined ? {} : { ath: createHash("sha256").update(use.token).digest("base64url") };
  return jwt(
    { typ: "dpop+jwt", alg: "EdDSA", jwk: publicJwk, ...header },
    {
      jti: randomUUID(),
      htm: use.method,
      htu: use.url,
      iat: Math.floor(Date.now() / 1_000),
      ...ath,
      ...claims,
    },
    privateKey,
  );
}
