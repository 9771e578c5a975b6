import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { Problem } from "../base/problem.ts";
import type { Keyring } from "./keyring.ts";
import { checkNewPassphrase, newPassphraseParameters, PASSPHRASE_PARAMETERS, stretchPassphrase } from "./passphrase.ts";
import { readBoundedFile } from "./read-bounded-file.ts";
import type { SettingsStore } from "./settings-store.ts";
import { writePrivateFile } from "./write-private-file.ts";

const MAX_KEY_FILE_BYTES = 1024;
const PURPOSE = "owner";

/** Wrong passphrases in a row before each further one costs waiting. */
const FREE_GUESSES = 5;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

const OWNER_RECORD = z.discriminatedUnion("level", [
  z.strictObject({ level: z.literal(0) }),
  z.strictObject({ level: z.literal(1), ...PASSPHRASE_PARAMETERS.shape, hash: z.base64() }),
]);

type OwnerRecord = z.infer<typeof OWNER_RECORD>;

/** Whether a passphrase is the owner's. `throttled`: not looked at; try again later. */
export type PassphraseCheck =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: "wrong" | "not_set" }
  | { readonly ok: false; readonly reason: "throttled"; readonly retryAfterSeconds: number };

/** Who may administer this home: see the assurance levels in the threat model. */
export interface Owner {
  /** 0: `owner.key` suffices. 1: owner actions need the passphrase. A record that was edited counts as 1. */
  level(): 0 | 1;
  /** Whether the record of the level was edited in the database; then no passphrase is right. */
  damaged(): boolean;
  checkOwnerKey(text: string): boolean;
  /** One guess at a time; after 5 wrong ones in a row, each further one must wait, up to a minute. */
  checkPassphrase(passphrase: string, now: Date): Promise<PassphraseCheck>;
  /**
   * Sets the passphrase, and with it level 1, or changes it.
   *
   * @param options - `current`: the passphrase in force, needed at level 1.
   * @returns The check of `current`. @throws {Problem} `invalid_request` when the new one is too short.
   */
  setPassphrase(options: { readonly next: string; readonly current?: string }, now: Date): Promise<PassphraseCheck>;
}

/** What a new home begins with: level 0, sealed, so that taking the row away later does not lead back to it. */
export function firstOwnerRecord(keyring: Keyring): Buffer {
  return sealRecord(keyring, { level: 0 });
}

/**
 * The owner of a home. Makes `<home>/owner.key` (0600) if it is not there.
 *
 * @throws {Problem} `store_unavailable` when that file can be read by others.
 */
export async function createOwner(deps: {
  readonly home: string;
  readonly settings: SettingsStore;
  readonly keyring: Keyring;
}): Promise<Owner> {
  const { home, settings, keyring } = deps;
  const keyHash = sha256(await ownerKey(join(home, "owner.key")));
  let record = openRecord(keyring, await settings.get("owner"));
  const guesses = createThrottle();
  let turn: Promise<unknown> = Promise.resolve();

  const check = async (passphrase: string, now: Date): Promise<PassphraseCheck> => {
    if (record === undefined) return { ok: false, reason: "wrong" };
    if (record.level === 0) return { ok: false, reason: "not_set" };
    const retryAfterSeconds = guesses.waitSeconds(now);
    if (retryAfterSeconds > 0) return { ok: false, reason: "throttled", retryAfterSeconds };
    guesses.failed(now);
    const hash = await stretchPassphrase(passphrase, record);
    const right = timingSafeEqual(hash, Buffer.from(record.hash, "base64"));
    hash.fill(0);
    if (!right) return { ok: false, reason: "wrong" };
    guesses.reset();
    return { ok: true };
  };
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work, work);
    turn = mine;
    return mine;
  };

  return {
    level: () => record?.level ?? 1,
    damaged: () => record === undefined,
    checkOwnerKey: (text) => timingSafeEqual(sha256(text.trim()), keyHash),
    checkPassphrase: (passphrase, now) => inTurn(() => check(passphrase, now)),
    setPassphrase: ({ next, current }, now) =>
      inTurn(async () => {
        checkNewPassphrase(next);
        if (record?.level !== 0) {
          const checked = await check(current ?? "", now);
          if (!checked.ok) return checked;
        }
        const parameters = newPassphraseParameters();
        const hash = await stretchPassphrase(next, parameters);
        const written: OwnerRecord = { level: 1, ...parameters, hash: hash.toString("base64") };
        await settings.put({ owner: sealRecord(keyring, written) });
        record = written;
        return { ok: true };
      }),
  };
}

async function ownerKey(path: string): Promise<string> {
  await writePrivateFile(path, `${randomBytes(32).toString("base64url")}\n`, { ifThere: "keep" });
  const bytes = await readBoundedFile(path, {
    maxBytes: MAX_KEY_FILE_BYTES,
    check: ({ mode }) => {
      if ((mode & 0o077) === 0) return;
      throw new Problem("store_unavailable", {
        detail: `other users can read the owner's key \`${path}\``,
        remedy: `Delete it; Doorward makes a new one.`,
      });
    },
  });
  const text = bytes.toString("utf8").trim();
  if (text.length >= 32) return text;
  throw new Problem("store_unavailable", {
    detail: `the owner's key \`${path}\` is damaged`,
    remedy: "Delete it; Doorward makes a new one.",
  });
}

function createThrottle() {
  let wrong = 0;
  let nextAt = 0;
  return {
    waitSeconds: (now: Date) => Math.ceil(Math.min(Math.max(nextAt - now.getTime(), 0), LONGEST_WAIT_MS) / 1000),
    /** Counted before the guess is looked at, so that parallel guesses do not go free. */
    failed(now: Date) {
      wrong += 1;
      const waitMs = wrong < FREE_GUESSES ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (wrong - FREE_GUESSES), LONGEST_WAIT_MS);
      nextAt = now.getTime() + waitMs;
    },
    reset() {
      wrong = 0;
      nextAt = 0;
    },
  };
}

function sealRecord(keyring: Keyring, record: OwnerRecord): Buffer {
  return keyring.seal(PURPOSE, ["record"], Buffer.from(JSON.stringify(record), "utf8"));
}

function openRecord(keyring: Keyring, sealed: Uint8Array | undefined): OwnerRecord | undefined {
  if (sealed === undefined) return undefined;
  const bytes = keyring.unseal(PURPOSE, ["record"], sealed);
  if (bytes === undefined) return undefined;
  const parsed = OWNER_RECORD.safeParse(JSON.parse(bytes.toString("utf8")));
  return parsed.success ? parsed.data : undefined;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}
