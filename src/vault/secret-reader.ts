import { isAbsolute, join } from "node:path";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { Keychain } from "./keychain.ts";
import type { Keyring } from "./keyring.ts";
import { readBoundedFile } from "./read-bounded-file.ts";
import { unsealSecret } from "./sealed-secret.ts";
import { findSecretSource } from "./secret-source.ts";
import type { SecretStore } from "./secret-store.ts";
import { faultOfSecretValue, MAX_SECRET_BYTES, MIN_SCRUBBABLE_BYTES } from "./secret-value.ts";

/** A secret as it was read, before it becomes a lease. */
export interface SecretReading {
  readonly secret: Secret;
  readonly version: string;
  readonly expiresAt: Date | undefined;
  /** Under 8 bytes: cannot be told from ordinary text, so it is not scrubbed from it. */
  readonly short: boolean;
}

/** The places outside the vault that a reference may name. */
export interface SecretSources {
  readonly environment: (name: string) => string | undefined;
  readonly keychain: Keychain;
}

const KEYCHAIN_SERVICE = "doorward";

/** Resolves references to secrets. Each reading goes to the source; nothing is kept here. */
export type SecretReader = (ref: string, now: Date) => Promise<SecretReading>;

/**
 * Reads secrets of the local vault, the environment, files and the system's keychain.
 *
 * @param deps - `home`: where relative paths of `file:` begin.
 * @returns A reader that throws {@link Problem} `secret_unavailable`; its `reason` is precise, its detail tells an agent
 *   nothing about where secrets are.
 */
export function createSecretReader(deps: {
  readonly home: string;
  readonly secrets: SecretStore;
  readonly keyring: Keyring;
  readonly sources: SecretSources;
}): SecretReader {
  const { home, secrets, keyring, sources } = deps;
  return async (ref, now) => {
    const source = findSecretSource(ref);
    if (source === undefined) throw unavailable(ref, "there is no such backend");
    if (source.kind === "local") return await readLocal({ secrets, keyring }, source.name, now);
    const value = await attempt(ref, async () => {
      if (source.kind === "file") {
        const path = isAbsolute(source.path) ? source.path : join(home, source.path);
        return await readBoundedFile(path, { maxBytes: MAX_SECRET_BYTES });
      }
      const text =
        source.kind === "env"
          ? sources.environment(source.name)
          : await sources.keychain.get({ service: KEYCHAIN_SERVICE, account: source.name });
      if (text === undefined) throw new Error("it is not set");
      return Buffer.from(text, "utf8");
    });
    return fromOutside(keyring, ref, value);
  };
}

async function readLocal(
  { secrets, keyring }: { readonly secrets: SecretStore; readonly keyring: Keyring },
  name: string,
  now: Date,
): Promise<SecretReading> {
  const ref = `local:${name}`;
  const row = await secrets.find(name);
  if (row === undefined) throw unavailable(ref, "it was never set", `doorward secret set ${name} --stdin`);
  const value = unsealSecret(keyring, row);
  if (value === undefined) throw unavailable(ref, "the entry is damaged", `doorward secret set ${name} --stdin`);
  const expiresAt = row.expires_at === null ? undefined : new Date(row.expires_at);
  try {
    if (expiresAt !== undefined && expiresAt <= now) {
      throw unavailable(ref, `it expired at ${row.expires_at}`, `doorward secret rotate ${name} --stdin`);
    }
    return {
      secret: new Secret(value.toString("utf8")),
      version: String(row.version),
      expiresAt,
      short: row.short !== 0,
    };
  } finally {
    value.fill(0);
  }
}

/** Without an owner who said `--short`, a value too short to be scrubbed is not taken. */
function fromOutside(keyring: Keyring, ref: string, bytes: Buffer): SecretReading {
  const value = withoutLastLineBreak(bytes);
  try {
    const fault =
      value.length < MIN_SCRUBBABLE_BYTES
        ? `it is shorter than ${MIN_SCRUBBABLE_BYTES} bytes and could not be scrubbed; take it into the vault with \`--short\``
        : faultOfSecretValue(value);
    if (fault !== undefined) throw unavailable(ref, fault);
    const text = value.toString("utf8");
    const version = keyring.tag("secret-version", [ref, text]).toString("hex").slice(0, 16);
    return { secret: new Secret(text), version, expiresAt: undefined, short: false };
  } finally {
    bytes.fill(0);
  }
}

function withoutLastLineBreak(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}

async function attempt<T>(ref: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw unavailable(ref, why, undefined, error);
  }
}

function unavailable(ref: string, why: string, command?: string, cause?: unknown): Problem {
  return new Problem("secret_unavailable", {
    ...(command === undefined ? {} : { remedy: `The owner can run \`${command}\`.` }),
    reason: `\`${ref}\`: ${why}`,
    cause,
  });
}
