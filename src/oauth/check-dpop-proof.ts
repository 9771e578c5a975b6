import { createHash } from "node:crypto";
import type { DpopNonces } from "./dpop-nonces.ts";
import { createReplayMemory } from "./replay-memory.ts";

/** Seconds that a proof may be old, and that its maker's clock may be ahead. */
const SKEW_SECONDS = 60;
/** Asymmetric alone: with another, a public value would be the key. */
const ALGORITHMS = ["ES256", "Ed25519", "EdDSA"];
/** Characters. */
const PROOF_LIMIT = 8_192;
const JTI_LIMIT = 256;

/** A use of a token that is bound to a key. */
export interface BoundUse {
  readonly token: string;
  /** Thumbprint of the key (RFC 7638) that the token is bound to. */
  readonly key: string;
  readonly proof: string | undefined;
  readonly method: string;
  /** The URL that was called, as the client knows it. */
  readonly url: string;
  readonly now: Date;
}

export type ProofAnswer =
  | { readonly ok: true }
  /** `nonce`: to be sent along, so that the client makes a better proof. */
  | { readonly ok: false; readonly reason: string; readonly nonce: string | undefined };

export type CheckDpopProof = (use: BoundUse) => Promise<ProofAnswer>;

/** Makes the check of proofs of possession at the resource server (RFC 9449 §4.3); each proof is good once. */
export function createDpopCheck(nonces: DpopNonces): CheckDpopProof {
  const replays = createReplayMemory(2 * SKEW_SECONDS * 1_000);
  return async (use) => {
    const { proof, now } = use;
    if (proof === undefined) return refused("dpop_missing");
    const claims = await verify(proof, use.key);
    if (typeof claims === "string") return refused(claims);
    const { htm, htu, ath, jti, iat, nonce } = claims;
    if (htm !== use.method) return refused("dpop_method");
    if (typeof htu !== "string" || bareUrl(htu) !== bareUrl(use.url)) return refused("dpop_url");
    if (ath !== createHash("sha256").update(use.token).digest("base64url")) return refused("dpop_token");
    if (typeof jti !== "string" || jti === "" || jti.length > JTI_LIMIT) return refused("dpop_jti");
    if (nonce !== undefined && (typeof nonce !== "string" || !nonces.isGood(nonce, now))) {
      return refused("dpop_nonce", nonces.current(now));
    }
    if (typeof iat !== "number" || Math.abs(now.getTime() / 1_000 - iat) > SKEW_SECONDS) {
      // Who has our nonce made the proof just now, whatever its clock says.
      if (nonce === undefined || typeof iat !== "number") return refused("dpop_time", nonces.current(now));
    }
    return replays.isFirst(`${use.key} ${jti}`, now) ? { ok: true } : refused("dpop_replay");
  };
}

interface Claims {
  readonly htm?: unknown;
  readonly htu?: unknown;
  readonly ath?: unknown;
  readonly jti?: unknown;
  readonly iat?: unknown;
  readonly nonce?: unknown;
}

/** @returns The claims, or why there are none. */
async function verify(proof: string, key: string): Promise<Claims | string> {
  if (proof.length > PROOF_LIMIT) return "dpop_malformed";
  // Only who uses bound tokens pays for the library.
  const { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } = await import("jose");
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      algorithms: ALGORITHMS,
      typ: "dpop+jwt",
      clockTolerance: SKEW_SECONDS,
    });
    const { jwk } = protectedHeader;
    if (jwk === undefined || (await calculateJwkThumbprint(jwk)) !== key) return "dpop_key";
    return payload as Claims;
  } catch {
    return "dpop_signature";
  }
}

/** A URL less its query and fragment, as parsers print it; `undefined` for what is none, which equals no URL of ours. */
function bareUrl(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null) return undefined;
  url.search = "";
  url.hash = "";
  return url.href;
}

function refused(reason: string, nonce?: string): ProofAnswer {
  return { ok: false, reason, nonce };
}
