import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";

/**
 * Checkpoints and their signatures, in the forms other tools read.
 *
 * @see https://c2sp.org/tlog-checkpoint and https://c2sp.org/signed-note
 */

/** What a checkpoint says: so many lines of that node have this Merkle root. */
export interface Checkpoint {
  /** `doorward/<node>`, also the name of the key. */
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Buffer;
}

/** Signs the checkpoints of one node. */
export interface NoteSigner {
  readonly origin: string;
  /** The public key as a C2SP vkey, the content of `key.pub`. */
  readonly vkey: string;
  /** @returns The whole note, ending in a line feed. */
  sign(checkpoint: Omit<Checkpoint, "origin">): string;
}

/** A public key read from a vkey. */
export interface NoteVerifier {
  readonly origin: string;
  readonly vkey: string;
  /** @returns Whether the note is well formed, of this origin, and signed by this key. */
  verifies(note: string): boolean;
}

/** Ed25519 in a vkey and in a key id (C2SP). */
const ALGORITHM_ED25519 = Buffer.from([1]);
const PUBLIC_KEY_BYTES = 32;
const SEED_BYTES = 32;
const KEY_ID_BYTES = 4;
const SIGNATURE_BYTES = 64;
/** DER before the 32 bytes of an Ed25519 seed (RFC 8410 §7). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** The origin and key name of a node. */
export function originOf(node: string): string {
  return `doorward/${node}`;
}

/** @param seed - 32 bytes; the same seed makes the same key. */
export function createNoteSigner(node: string, seed: Buffer): NoteSigner {
  if (seed.length !== SEED_BYTES) throw new TypeError(`an Ed25519 seed has ${SEED_BYTES} bytes`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
  const publicKey = Buffer.from(createPublicKey(key).export({ format: "jwk" }).x ?? "", "base64url");
  const origin = originOf(node);
  const keyId = keyIdOf(origin, publicKey);
  const encoded = Buffer.concat([ALGORITHM_ED25519, publicKey]).toString("base64");
  return {
    origin,
    vkey: `${origin}+${keyId.toString("hex")}+${encoded}`,
    sign({ size, root }) {
      const text = printCheckpoint({ origin, size, root });
      const signature = Buffer.concat([keyId, sign(null, Buffer.from(text), key)]).toString("base64");
      return `${text}\n— ${origin} ${signature}\n`;
    },
  };
}

/** @returns `undefined` for anything but one well-formed Ed25519 vkey whose key id is right. */
export function parseVkey(text: string): NoteVerifier | undefined {
  const [, origin = "", id = "", encoded = ""] =
    /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text.trim()) ?? [];
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.length !== 1 + PUBLIC_KEY_BYTES || bytes[0] !== ALGORITHM_ED25519[0]) return undefined;
  if (bytes.toString("base64") !== encoded) return undefined;
  const publicKey = bytes.subarray(1);
  const keyId = keyIdOf(origin, publicKey);
  if (keyId.toString("hex") !== id) return undefined;
  const key = createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: publicKey.toString("base64url") },
    format: "jwk",
  });
  return { origin, vkey: text.trim(), verifies: (note) => verifiesNote(note, { origin, keyId, key }) };
}

/** Reads the text of a note; its signatures are {@link NoteVerifier.verifies}' business. */
export function parseCheckpoint(note: string): Checkpoint | undefined {
  const [origin = "", size = "", encoded = "", blank] = note.split("\n");
  const root = Buffer.from(encoded, "base64");
  if (blank !== "" || !/^[^\s+]+$/.test(origin) || !/^(0|[1-9][0-9]{0,15})$/.test(size)) return undefined;
  if (root.length !== 32 || root.toString("base64") !== encoded) return undefined;
  return { origin, size: Number(size), root };
}

function printCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString("base64")}\n`;
}

function verifiesNote(
  note: string,
  { origin, keyId, key }: { readonly origin: string; readonly keyId: Buffer; readonly key: KeyObject },
): boolean {
  const split = note.indexOf("\n\n");
  if (split < 0 || parseCheckpoint(note)?.origin !== origin) return false;
  const text = Buffer.from(note.slice(0, split + 1));
  for (const line of note.slice(split + 2).split("\n")) {
    const [dash, name, encoded = ""] = line.split(" ");
    const bytes = Buffer.from(encoded, "base64");
    if (dash !== "—" || name !== origin || bytes.length !== KEY_ID_BYTES + SIGNATURE_BYTES) continue;
    if (bytes.toString("base64") !== encoded || !bytes.subarray(0, KEY_ID_BYTES).equals(keyId)) continue;
    return verify(null, text, key, bytes.subarray(KEY_ID_BYTES));
  }
  return false;
}

function keyIdOf(origin: string, publicKey: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(`${origin}\n`), ALGORITHM_ED25519, publicKey]);
  return hash("sha256", named, "buffer").subarray(0, KEY_ID_BYTES);
}
