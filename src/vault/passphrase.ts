import { argon2, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { z } from "zod";
import { Problem } from "../base/problem.ts";

const stretch = promisify(argon2);

/** Above OWASP's minimum for argon2id (19 MiB, 2 passes): about 0.15 s and 64 MiB for each guess. */
const MEMORY_KIB = 65_536;
const PASSES = 3;
const PARALLELISM = 1;

/** What a file may ask for at most, so that an edited one cannot exhaust the machine. */
const MAX_MEMORY_KIB = 1_048_576;
const MAX_PASSES = 20;
const MAX_PARALLELISM = 16;

const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** Characters. NIST SP 800-63B asks for 8 behind a throttled login; a stolen disk has no throttle. */
export const MIN_PASSPHRASE_LENGTH = 12;
const MAX_PASSPHRASE_LENGTH = 1024;

/** How a passphrase was stretched: kept beside what it protects, so that stronger parameters can come later. */
export const PASSPHRASE_PARAMETERS = z.strictObject({
  salt: z.base64().length(24),
  memory_kib: z.int().min(1024).max(MAX_MEMORY_KIB),
  passes: z.int().min(1).max(MAX_PASSES),
  parallelism: z.int().min(1).max(MAX_PARALLELISM),
});

export type PassphraseParameters = z.infer<typeof PASSPHRASE_PARAMETERS>;

/** Today's parameters with a new salt. */
export function newPassphraseParameters(): PassphraseParameters {
  return {
    salt: randomBytes(SALT_BYTES).toString("base64"),
    memory_kib: MEMORY_KIB,
    passes: PASSES,
    parallelism: PARALLELISM,
  };
}

/**
 * Turns a passphrase into 32 bytes with argon2id, off the main thread.
 *
 * Equal passphrases typed on different systems are equal here (Unicode NFKC).
 */
export async function stretchPassphrase(passphrase: string, parameters: PassphraseParameters): Promise<Buffer> {
  const message = Buffer.from(passphrase.normalize("NFKC").slice(0, MAX_PASSPHRASE_LENGTH * 4), "utf8");
  const key = await stretch("argon2id", {
    message,
    nonce: Buffer.from(parameters.salt, "base64"),
    parallelism: parameters.parallelism,
    tagLength: KEY_BYTES,
    memory: parameters.memory_kib,
    passes: parameters.passes,
  });
  message.fill(0);
  return key;
}

/** @throws {Problem} `invalid_request` for a new passphrase that is too short or too long to be one. */
export function checkNewPassphrase(passphrase: string): void {
  const length = [...passphrase.normalize("NFKC")].length;
  if (length >= MIN_PASSPHRASE_LENGTH && length <= MAX_PASSPHRASE_LENGTH) return;
  throw new Problem("invalid_request", {
    detail: `the passphrase has ${length} characters`,
    remedy: `Take at least ${MIN_PASSPHRASE_LENGTH}, for example five words, and at most ${MAX_PASSPHRASE_LENGTH}.`,
  });
}
