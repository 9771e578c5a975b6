import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { Site } from "./webauthn.ts";

/** Writes CBOR in its shortest form: numbers, texts, bytes, lists, maps. */
export function writeCbor(value: unknown): Buffer {
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string") return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(writeCbor)]);
  if (typeof value === "boolean") return Buffer.from([value ? 0xf5 : 0xf4]);
  if (value === null) return Buffer.from([0xf6]);
  const entries = [...(value as Map<unknown, unknown>)];
  return Buffer.concat([head(5, entries.length), ...entries.flat().map(writeCbor)]);
}

function head(major: number, size: number): Buffer {
  if (size < 24) return Buffer.from([(major << 5) | size]);
  const bytes = Buffer.alloc(9);
  bytes.writeBigUInt64BE(BigInt(size), 1);
  const width = size < 0x100 ? 1 : size < 0x1_0000 ? 2 : size < 0x1_0000_0000 ? 4 : 8;
  return Buffer.concat([
    Buffer.from([(major << 5) | (23 + [1, 2, 4, 8].indexOf(width) + 1)]),
    bytes.subarray(9 - width),
  ]);
}

/** Which of the three kinds of key an authenticator makes. */
export type KeyKind = "ES256" | "EdDSA" | "RS256";

/** What a test may get wrong on purpose. */
export interface Twist {
  readonly type?: string;
  readonly origin?: string;
  readonly rpId?: string;
  readonly flags?: number;
  readonly signCount?: number;
  readonly client?: { readonly [field: string]: unknown };
  readonly tail?: Uint8Array;
}

/** An authenticator in software: what a browser would send for it. */
export function softwareAuthenticator(kind: KeyKind = "ES256") {
  const pair =
    kind === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : kind === "EdDSA"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = pair.publicKey.export({ format: "jwk" });
  const part = (name: "x" | "y" | "n" | "e") => Buffer.from(jwk[name]!, "base64url");
  const cose = {
    ES256: () => [
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, part("x")],
      [-3, part("y")],
    ],
    EdDSA: () => [
      [1, 1],
      [3, -8],
      [-1, 6],
      [-2, part("x")],
    ],
    RS256: () => [
      [1, 3],
      [3, -257],
      [-1, part("n")],
      [-2, part("e")],
    ],
  }[kind]() as [number, unknown][];
  const id = randomBytes(32);
  let count = 0;

  const clientData = (type: string, challenge: string, site: Site, twist: Twist) =>
    Buffer.from(
      JSON.stringify({
        type: twist.type ?? type,
        challenge,
        origin: twist.origin ?? site.origin,
        crossOrigin: false,
        ...twist.client,
      }),
    );
  const authData = (site: Site, flags: number, twist: Twist, rest: readonly Uint8Array[]) => {
    const fixed = Buffer.alloc(5);
    fixed.writeUInt8(twist.flags ?? flags);
    fixed.writeUInt32BE(twist.signCount ?? ++count, 1);
    const rp = createHash("sha256")
      .update(twist.rpId ?? site.rpId)
      .digest();
    return Buffer.concat([rp, fixed, ...rest, twist.tail ?? Buffer.alloc(0)]);
  };

  return {
    id: id.toString("base64url"),
    cose,
    create(challenge: string, site: Site, twist: Twist = {}, key: Uint8Array = writeCbor(new Map(cose))) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(id.length);
      const data = authData(site, 0x45, twist, [Buffer.alloc(16), length, id, key]);
      const object = new Map<string, unknown>([
        ["fmt", "none"],
        ["attStmt", new Map()],
        ["authData", data],
      ]);
      return {
        clientDataJSON: clientData("webauthn.create", challenge, site, twist),
        attestationObject: writeCbor(object),
      };
    },
    get(challenge: string, site: Site, twist: Twist = {}) {
      const clientDataJSON = clientData("webauthn.get", challenge, site, twist);
      const authenticatorData = authData(site, 0x05, twist, []);
      const signed = Buffer.concat([authenticatorData, createHash("sha256").update(clientDataJSON).digest()]);
      const signature = sign(kind === "EdDSA" ? null : "sha256", signed, pair.privateKey);
      return { clientDataJSON, authenticatorData, signature };
    },
  };
}
