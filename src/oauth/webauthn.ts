import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { isObject } from "../base/json.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { type Cbor, CborFault, readCbor } from "./cbor.ts";
import { isSignedBy, type PasskeyAlgorithm, readCoseKey } from "./cose-key.ts";

/** Where a passkey is used, as the browser must have seen it. */
export interface Site {
  /** `https://broker.example.com`. */
  readonly origin: string;
  /** A host name: an IP address cannot have passkeys. */
  readonly rpId: string;
}

/** What an authenticator said when it made a key. */
export interface RegistrationResponse {
  readonly clientDataJSON: Uint8Array;
  readonly attestationObject: Uint8Array;
}

/** What it says when it uses one. */
export interface AssertionResponse {
  readonly clientDataJSON: Uint8Array;
  readonly authenticatorData: Uint8Array;
  readonly signature: Uint8Array;
}

export interface NewKey {
  /** base64url. */
  readonly id: string;
  readonly algorithm: PasskeyAlgorithm;
  /** SubjectPublicKeyInfo, DER, base64. */
  readonly publicKey: string;
  readonly signCount: number;
}

/** Why an answer was refused; for the evidence alone. */
export type WebauthnFault =
  | "client_data"
  | "type"
  | "challenge"
  | "origin"
  | "cross_origin"
  | "authenticator_data"
  | "rp_id"
  | "user_not_present"
  | "user_not_verified"
  | "key"
  | "signature"
  | "counter";

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: WebauthnFault };

const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
const MAY_BE_BACKED_UP = 0x08;
const BACKED_UP = 0x10;
const HAS_KEY = 0x40;
const HAS_EXTENSIONS = 0x80;
/** Bytes of rpIdHash, flags and counter. */
const FIXED_BYTES = 37;
const KEY_ID_MOST = 1_023;

/**
 * Checks the answer to the making of a passkey. Its attestation is not looked at: none is asked for, and nothing is
 * believed because of one.
 *
 * @param challenge - base64url; that it is ours, unused and for this action is for the caller to know.
 * @returns The new key. Never throws.
 * @see Web Authentication Level 3 §7.1
 */
export function checkRegistration(
  { clientDataJSON, attestationObject }: RegistrationResponse,
  { challenge, site }: { readonly challenge: string; readonly site: Site },
): Checked<NewKey> {
  const fault = clientDataFault(clientDataJSON, { type: "webauthn.create", challenge, site });
  if (fault !== undefined) return { ok: false, reason: fault };
  const object = wholeCbor(attestationObject);
  const raw = object instanceof Map ? (object as ReadonlyMap<string, Cbor>).get("authData") : undefined;
  const data = raw instanceof Uint8Array ? readAuthenticatorData(raw) : undefined;
  if (data === undefined) return { ok: false, reason: "authenticator_data" };
  const spoken = dataFault(data, site);
  if (spoken !== undefined) return { ok: false, reason: spoken };
  const key = data.made === undefined ? undefined : readCoseKey(data.made.key);
  if (data.made === undefined || key === undefined) return { ok: false, reason: "key" };
  return {
    ok: true,
    value: {
      id: Buffer.from(data.made.id).toString("base64url"),
      algorithm: key.algorithm,
      publicKey: key.key.export({ format: "der", type: "spki" }).toString("base64"),
      signCount: data.signCount,
    },
  };
}

/**
 * Checks the answer to the use of a passkey: challenge, origin, host, presence and verification of the person, the
 * signature, and that the counter went on (a copy of the key would lag behind).
 *
 * @returns The new counter. Never throws.
 * @see Web Authentication Level 3 §7.2
 */
export function checkAssertion(
  { clientDataJSON, authenticatorData, signature }: AssertionResponse,
  expected: {
    readonly challenge: string;
    readonly site: Site;
    readonly key: Pick<NewKey, "algorithm" | "publicKey" | "signCount">;
  },
): Checked<number> {
  const { challenge, site, key } = expected;
  const fault = clientDataFault(clientDataJSON, { type: "webauthn.get", challenge, site });
  if (fault !== undefined) return { ok: false, reason: fault };
  const data = readAuthenticatorData(authenticatorData);
  if (data === undefined || data.made !== undefined) return { ok: false, reason: "authenticator_data" };
  const spoken = dataFault(data, site);
  if (spoken !== undefined) return { ok: false, reason: spoken };
  const signed = Buffer.concat([authenticatorData, createHash("sha256").update(clientDataJSON).digest()]);
  if (!isSignedBy({ algorithm: key.algorithm, key: publicKeyOf(key.publicKey) }, signed, signature)) {
    return { ok: false, reason: "signature" };
  }
  const counts = key.signCount !== 0 || data.signCount !== 0;
  if (counts && data.signCount <= key.signCount) return { ok: false, reason: "counter" };
  return { ok: true, value: data.signCount };
}

function publicKeyOf(spki: string): KeyObject {
  return createPublicKey({ format: "der", type: "spki", key: Buffer.from(spki, "base64") });
}

function clientDataFault(
  bytes: Uint8Array,
  expected: { readonly type: string; readonly challenge: string; readonly site: Site },
): WebauthnFault | undefined {
  const parsed = parseStrictJson(bytes);
  if (!parsed.ok || !isObject(parsed.value)) return "client_data";
  const data = parsed.value;
  if (data["type"] !== expected.type) return "type";
  if (data["challenge"] !== expected.challenge) return "challenge";
  if (data["origin"] !== expected.site.origin) return "origin";
  if (data["topOrigin"] !== undefined || (data["crossOrigin"] !== undefined && data["crossOrigin"] !== false)) {
    return "cross_origin";
  }
  return undefined;
}

interface AuthenticatorData {
  readonly rpIdHash: Uint8Array;
  readonly flags: number;
  readonly signCount: number;
  readonly made: { readonly id: Uint8Array; readonly key: Cbor } | undefined;
}

function dataFault({ rpIdHash, flags }: AuthenticatorData, { rpId }: Site): WebauthnFault | undefined {
  if (!createHash("sha256").update(rpId, "utf8").digest().equals(rpIdHash)) return "rp_id";
  if ((flags & USER_PRESENT) === 0) return "user_not_present";
  if ((flags & USER_VERIFIED) === 0) return "user_not_verified";
  return undefined;
}

/** @returns `undefined` for bytes that are cut, or go on after what their flags announce. */
function readAuthenticatorData(bytes: Uint8Array): AuthenticatorData | undefined {
  if (bytes.length < FIXED_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint8(32);
  if ((flags & BACKED_UP) !== 0 && (flags & MAY_BE_BACKED_UP) === 0) return undefined;
  const head = { rpIdHash: bytes.subarray(0, 32), flags, signCount: view.getUint32(33) };
  try {
    let at = FIXED_BYTES;
    let made: AuthenticatorData["made"];
    if ((flags & HAS_KEY) !== 0) {
      // After the 16 bytes of the AAGUID.
      const idLength = bytes.length < at + 18 ? 0 : view.getUint16(at + 16);
      if (idLength === 0 || idLength > KEY_ID_MOST || bytes.length < at + 18 + idLength) return undefined;
      const key = readCbor(bytes, at + 18 + idLength);
      made = { id: bytes.slice(at + 18, at + 18 + idLength), key: key.value };
      at = key.end;
    }
    if ((flags & HAS_EXTENSIONS) !== 0) {
      const extensions = readCbor(bytes, at);
      if (!(extensions.value instanceof Map)) return undefined;
      at = extensions.end;
    }
    return at === bytes.length ? { ...head, made } : undefined;
  } catch (error) {
    if (error instanceof CborFault) return undefined;
    throw error;
  }
}

function wholeCbor(bytes: Uint8Array): Cbor | undefined {
  try {
    const { value, end } = readCbor(bytes);
    return end === bytes.length ? value : undefined;
  } catch (error) {
    if (error instanceof CborFault) return undefined;
    throw error;
  }
}
