import { createHmac, createSecretKey, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { Problem } from "../base/problem.ts";
import { KEK_RECORD, type KekRecord } from "./kek.ts";
import { KEY_BYTES } from "./keyring.ts";
import { readBoundedFile } from "./read-bounded-file.ts";
import { seal, unseal } from "./seal.ts";
import { writePrivateFile } from "./write-private-file.ts";

const MAX_FILE_BYTES = 64 * 1024;
const CHECK_LABEL = "doorward/v1/kek-check";
const WRAP_LABEL = "doorward/v1/kek-wrap";

/**
 * `<home>/vault.json`: which home this is, where its key-encryption key is to be had, and the home key wrapped under it.
 *
 * `state` is `new` until the state file has been set up as well, so that a state that got lost is told apart from a set-up
 * that was interrupted.
 */
const VAULT_FILE = z.strictObject({
  version: z.literal(1),
  home_id: z.string().regex(/^[0-9a-f]{32}$/),
  state: z.enum(["new", "ready"]),
  kek: KEK_RECORD,
  /** Tells a wrong key from a damaged file. */
  kek_check: z.base64(),
  wrapped_home_key: z.base64(),
});

export type VaultFile = z.infer<typeof VAULT_FILE>;

/**
 * Reads the home's vault file.
 *
 * @returns `undefined` when there is none.
 * @throws {Problem} `secret_unavailable` when it is damaged or written by a newer Doorward.
 */
export async function readVaultFile(home: string): Promise<VaultFile | undefined> {
  const path = vaultFilePath(home);
  try {
    const bytes = await readBoundedFile(path, { maxBytes: MAX_FILE_BYTES });
    return VAULT_FILE.parse(JSON.parse(bytes.toString("utf8")));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw damaged(home, error);
  }
}

/** Writes it, whole or not at all. */
export async function writeVaultFile(home: string, file: VaultFile): Promise<void> {
  await writePrivateFile(vaultFilePath(home), `${JSON.stringify(file, null, 2)}\n`, { ifThere: "replace" });
}

/** A new home key under a key-encryption key. */
export function newVaultFile(input: {
  readonly homeId: string;
  readonly record: KekRecord;
  readonly kek: Buffer;
}): VaultFile {
  const homeKey = randomBytes(KEY_BYTES);
  const wrapped = seal(wrapKey(input.kek, input.homeId), ["home-key", input.homeId], homeKey);
  homeKey.fill(0);
  return {
    version: 1,
    home_id: input.homeId,
    state: "new",
    kek: input.record,
    kek_check: kekCheck(input.kek, input.homeId).toString("base64"),
    wrapped_home_key: wrapped.toString("base64"),
  };
}

/**
 * Unwraps the home key.
 *
 * @returns 32 bytes, which the caller overwrites after use.
 * @throws {Problem} `secret_unavailable`: the key is not the one of this vault, or the file is damaged.
 */
export function openVaultFile(home: string, file: VaultFile, kek: Buffer): Buffer {
  const expected = Buffer.from(file.kek_check, "base64");
  const actual = kekCheck(kek, file.home_id);
  const homeKey = unseal(
    wrapKey(kek, file.home_id),
    ["home-key", file.home_id],
    Buffer.from(file.wrapped_home_key, "base64"),
  );
  if (homeKey !== undefined && homeKey.length === KEY_BYTES) return homeKey;
  if (expected.length === actual.length && timingSafeEqual(expected, actual)) throw damaged(home, undefined);
  throw new Problem("secret_unavailable", {
    detail: "the key does not open this vault",
    remedy:
      file.kek.kind === "passphrase"
        ? "Type the passphrase that was set with `doorward init`."
        : "Put back the key with which this home was set up (see `vault.json` in the home).",
    reason: `key check of home ${file.home_id} failed (${file.kek.kind})`,
  });
}

/** Where the file is. */
export function vaultFilePath(home: string): string {
  return join(home, "vault.json");
}

function wrapKey(kek: Buffer, homeId: string) {
  return createSecretKey(Buffer.from(hkdfSync("sha256", kek, homeId, WRAP_LABEL, KEY_BYTES)));
}

function kekCheck(kek: Buffer, homeId: string): Buffer {
  return createHmac("sha256", kek).update(`${CHECK_LABEL}/${homeId}`).digest().subarray(0, 16);
}

function damaged(home: string, cause: unknown): Problem {
  return new Problem("secret_unavailable", {
    detail: `\`${vaultFilePath(home)}\` is damaged or of a newer Doorward`,
    remedy: "Put back a backup of it; without it no secret of this home can be opened.",
    cause,
  });
}
