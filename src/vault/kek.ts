import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import { z } from "zod";
import { Problem } from "../base/problem.ts";
import { keyFromMaterial, MAX_KEY_MATERIAL_BYTES } from "./key-material.ts";
import type { Keychain } from "./keychain.ts";
import { checkNewPassphrase, newPassphraseParameters, PASSPHRASE_PARAMETERS, stretchPassphrase } from "./passphrase.ts";
import { readBoundedFile } from "./read-bounded-file.ts";
import { runKeyCommand } from "./run-key-command.ts";
import { writePrivateFile } from "./write-private-file.ts";

const KEY_BYTES = 32;
const KEYCHAIN_SERVICE = "doorward-kek";

/** What the owner asked for with `--kek`. */
export type KekChoice =
  | { readonly kind: "passphrase" | "keychain" }
  | { readonly kind: "file"; readonly path: string | undefined }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "exec"; readonly command: string };

/** Where the key-encryption key is to be had, as `vault.json` says it. Never the key. */
export const KEK_RECORD = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("passphrase"), ...PASSPHRASE_PARAMETERS.shape }),
  z.strictObject({ kind: z.literal("keychain"), account: z.string().min(1) }),
  z.strictObject({ kind: z.literal("file"), path: z.string().min(1) }),
  z.strictObject({ kind: z.literal("env"), name: z.string().min(1) }),
  z.strictObject({ kind: z.literal("exec"), command: z.string().min(1) }),
]);

export type KekRecord = z.infer<typeof KEK_RECORD>;

/** The world that a key-encryption key is fetched from. */
export interface KekSources {
  /** `$XDG_CONFIG_HOME`, or `~/.config`. */
  readonly configFolder: string;
  readonly environment: (name: string) => string | undefined;
  readonly keychain: Keychain;
  /** Effective user id; `undefined` where the system has none. */
  readonly uid: number | undefined;
  /** Asks on the terminal. Absent when there is none. */
  readonly askPassphrase?: (purpose: "new" | "open") => Promise<string>;
}

/**
 * Reads the value of `--kek`: `passphrase`, `keychain`, `file[:PATH]`, `env:VAR` or `exec:CMD`.
 *
 * @throws {Problem} `invalid_request` for anything else.
 */
export function parseKekChoice(text: string): KekChoice {
  const colon = text.indexOf(":");
  const kind = colon < 0 ? text : text.slice(0, colon);
  const rest = colon < 0 ? undefined : text.slice(colon + 1);
  if ((kind === "passphrase" || kind === "keychain") && rest === undefined) return { kind };
  if (kind === "file" && rest !== "") return { kind, path: rest };
  if (kind === "env" && rest !== undefined && /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest)) return { kind, name: rest };
  if (kind === "exec" && rest !== undefined && rest.trim() !== "") return { kind, command: rest };
  throw new Problem("invalid_request", {
    detail: `\`${text}\` is not a way to protect the key`,
    remedy: "Write `--kek passphrase`, `keychain`, `file`, `file:PATH`, `env:VAR` or `exec:CMD`.",
  });
}

/**
 * Decides where a new home's key goes when the owner did not: the keychain when one answers, else a file.
 */
export async function defaultKekChoice(sources: KekSources, homeId: string): Promise<KekChoice> {
  try {
    await sources.keychain.get(keychainEntry(`kek-${homeId}`));
    return { kind: "keychain" };
  } catch {
    return { kind: "file", path: undefined };
  }
}

/**
 * Makes the key-encryption key of a new home, or takes the one that the owner provides, and says where it is.
 *
 * @throws {Problem} `secret_unavailable` when it cannot be made, stored or read back.
 */
export async function createKek(
  choice: KekChoice,
  homeId: string,
  sources: KekSources,
): Promise<{ readonly record: KekRecord; readonly kek: Buffer }> {
  const record = await prepareKek(choice, homeId, sources);
  if (record.kind === "passphrase") {
    const passphrase = await ask(sources, "new");
    checkNewPassphrase(passphrase);
    return { record, kek: await stretchPassphrase(passphrase, record) };
  }
  // Read back by the way that every later start takes: what cannot be read now must not protect anything.
  return { record, kek: await openKek(record, sources) };
}

/**
 * Fetches the key-encryption key.
 *
 * @returns 32 bytes, which the caller overwrites after use. Whether it is the right key, `openVaultFile` finds out.
 * @throws {Problem} `secret_unavailable` when its place does not answer, holds no key, or is open to others.
 */
export async function openKek(record: KekRecord, sources: KekSources): Promise<Buffer> {
  if (record.kind === "passphrase") return await stretchPassphrase(await ask(sources, "open"), record);
  const material = await attempt(record, () => readMaterial(record, sources));
  const key = keyFromMaterial(material);
  material.fill(0);
  if (key !== undefined) return key;
  throw unavailable(record, "it does not hold 32 bytes, in hex, base64 or raw, or longer random text");
}

/** Says where the key is, for `init`, `status` and `doctor`; `warning` when that place protects little. */
export function describeKek(
  record: KekRecord,
  home: string,
): { readonly where: string; readonly file?: string; readonly warning?: string } {
  switch (record.kind) {
    case "passphrase":
      return { where: "a passphrase (argon2id)" };
    case "keychain":
      return { where: "the system's keychain" };
    case "env":
      return { where: `the environment variable ${record.name}` };
    case "exec":
      return { where: `the output of \`${record.command}\`` };
    case "file":
      return {
        where: `the file ${record.path}`,
        file: record.path,
        warning: isInside(record.path, home)
          ? `the vault's key lies in the home that it protects (${record.path}): a copy of the home opens every secret`
          : `the vault's key lies in a file (${record.path}): whoever can read your files can open the vault`,
      };
    default:
      return record satisfies never;
  }
}

async function prepareKek(choice: KekChoice, homeId: string, sources: KekSources): Promise<KekRecord> {
  const account = `kek-${homeId}`;
  switch (choice.kind) {
    case "passphrase":
      return { kind: "passphrase", ...newPassphraseParameters() };
    case "keychain": {
      const record: KekRecord = { kind: "keychain", account };
      await attempt(record, () => sources.keychain.set(keychainEntry(account), newKeyText()));
      return record;
    }
    case "file": {
      const path = resolve(choice.path ?? join(sources.configFolder, "doorward", account));
      const record: KekRecord = { kind: "file", path };
      await attempt(record, () => writePrivateFile(path, `${newKeyText()}\n`, { ifThere: "keep" }));
      return record;
    }
    case "env":
      return { kind: "env", name: choice.name };
    case "exec":
      return { kind: "exec", command: choice.command };
    default:
      return choice satisfies never;
  }
}

async function readMaterial(record: Exclude<KekRecord, { kind: "passphrase" }>, sources: KekSources): Promise<Buffer> {
  switch (record.kind) {
    case "keychain": {
      const text = await sources.keychain.get(keychainEntry(record.account));
      if (text === undefined) throw new Error(`the keychain has no entry \`${record.account}\``);
      return Buffer.from(text, "utf8");
    }
    case "file":
      return await readBoundedFile(record.path, {
        maxBytes: MAX_KEY_MATERIAL_BYTES,
        check: (stat) => checkPrivate(stat, record.path, sources.uid),
      });
    case "env": {
      const text = sources.environment(record.name);
      if (text === undefined || text === "") throw new Error(`the variable \`${record.name}\` is not set`);
      return Buffer.from(text, "utf8");
    }
    case "exec":
      return await runKeyCommand(record.command);
    default:
      return record satisfies never;
  }
}

function checkPrivate(stat: Stats, path: string, uid: number | undefined): void {
  if (uid === undefined) return;
  if (stat.uid !== uid && stat.uid !== 0) throw new Error(`it belongs to another user (uid ${stat.uid})`);
  if ((stat.mode & 0o077) !== 0) throw new Error(`other users may read or write it; run \`chmod 600 ${path}\``);
}

async function ask(sources: KekSources, purpose: "new" | "open"): Promise<string> {
  if (sources.askPassphrase !== undefined) return await sources.askPassphrase(purpose);
  throw new Problem("secret_unavailable", {
    detail: "the vault's key is a passphrase and there is no terminal to ask for it",
    remedy:
      "Run `doorward serve` on a terminal, or set up the home with another `--kek` (keychain, file, env:VAR, exec:CMD).",
  });
}

async function attempt<T>(record: KekRecord, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw unavailable(record, error instanceof Error ? error.message : String(error), error);
  }
}

function unavailable(record: KekRecord, why: string, cause?: unknown): Problem {
  const place =
    record.kind === "file" ? `file:${record.path}` : record.kind === "env" ? `env:${record.name}` : record.kind;
  return new Problem("secret_unavailable", {
    detail: `the vault's key cannot be had from \`${place}\`: ${why.replaceAll(/\s+/g, " ")}`,
    remedy: "Make the key available where it was when the home was set up (see `vault.json` in the home).",
    reason: why,
    cause,
  });
}

function keychainEntry(account: string) {
  return { service: KEYCHAIN_SERVICE, account };
}

function newKeyText(): string {
  return randomBytes(KEY_BYTES).toString("base64");
}

function isInside(path: string, folder: string): boolean {
  const way = relative(resolve(folder), path);
  return way !== "" && !way.startsWith("..") && !isAbsolute(way);
}
