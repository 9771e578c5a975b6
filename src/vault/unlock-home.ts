import { randomBytes, timingSafeEqual } from "node:crypto";
import { Problem } from "../base/problem.ts";
import { emptyBindingsTag } from "./bindings.ts";
import { createKek, defaultKekChoice, describeKek, type KekChoice, type KekSources, openKek } from "./kek.ts";
import { createKeyring, type Keyring } from "./keyring.ts";
import { firstOwnerRecord } from "./owner.ts";
import type { SettingsStore } from "./settings-store.ts";
import {
  newVaultFile,
  openVaultFile,
  readVaultFile,
  type VaultFile,
  vaultFilePath,
  writeVaultFile,
} from "./vault-file.ts";

/** A home whose keys are at hand. */
export interface UnlockedHome {
  readonly keyring: Keyring;
  /** Whether this call set the vault up. */
  readonly made: boolean;
  readonly protection: {
    readonly kind: KekChoice["kind"];
    readonly where: string;
    /** The file that it lies in, if it does. */
    readonly file?: string;
    /** When that place protects little: `init` says it, `doctor` repeats it. */
    readonly warning?: string;
  };
}

/**
 * Opens the keys of a home, and sets its vault up if it has none.
 *
 * `vault.json` and the state know each other by the home's id. When one of them is missing or another home's, it is refused
 * and not made anew: a state that silently began afresh would have lost its kills.
 *
 * @param options - `choice`: how a new home protects its key; absent: keychain, else file. An existing home keeps its own.
 * @throws {Problem} `secret_unavailable`: the key is not to be had, or not this vault's; `store_unavailable`: see above.
 */
export async function unlockHome(options: {
  readonly home: string;
  readonly settings: SettingsStore;
  readonly kek: KekSources;
  readonly choice?: KekChoice;
}): Promise<UnlockedHome> {
  const { home, settings, kek: sources } = options;
  const file = await readVaultFile(home);
  const stateId = await settings.get("home_id");
  if (file === undefined) {
    if (stateId !== undefined) throw lost(vaultFilePath(home), "without it no secret of this home can be opened");
    return await makeVault(options);
  }
  if (stateId === undefined && file.state === "ready")
    throw lost(`${home}/state.db`, "secrets, kills and keys are in it");
  if (stateId !== undefined && !sameText(stateId, file.home_id)) {
    throw lost(vaultFilePath(home), "it belongs to another home than the state");
  }
  const kek = await openKek(file.kek, sources);
  const keyring = unwrap(home, file, kek);
  if (stateId === undefined) await setUpState(settings, keyring);
  if (file.state === "new") await writeVaultFile(home, { ...file, state: "ready" });
  return { keyring, made: false, protection: { kind: file.kek.kind, ...describeKek(file.kek, home) } };
}

async function makeVault(options: Parameters<typeof unlockHome>[0]): Promise<UnlockedHome> {
  const { home, settings, kek: sources } = options;
  const homeId = randomBytes(16).toString("hex");
  const choice = options.choice ?? (await defaultKekChoice(sources, homeId));
  const { record, kek } = await createKek(choice, homeId, sources);
  const file = newVaultFile({ homeId, record, kek });
  await writeVaultFile(home, file);
  const keyring = unwrap(home, file, kek);
  await setUpState(settings, keyring);
  await writeVaultFile(home, { ...file, state: "ready" });
  return { keyring, made: true, protection: { kind: record.kind, ...describeKek(record, home) } };
}

function unwrap(home: string, file: VaultFile, kek: Buffer): Keyring {
  try {
    const homeKey = openVaultFile(home, file, kek);
    const keyring = createKeyring({ homeId: file.home_id, homeKey });
    homeKey.fill(0);
    return keyring;
  } finally {
    kek.fill(0);
  }
}

async function setUpState(settings: SettingsStore, keyring: Keyring): Promise<void> {
  await settings.put({
    home_id: Buffer.from(keyring.homeId, "utf8"),
    owner: firstOwnerRecord(keyring),
    bindings_tag: emptyBindingsTag(keyring),
    // The tag over no pin at all: `upstreams/` takes a record without one for damaged.
    pins_tag: keyring.tag("pins", []),
  });
}

function sameText(bytes: Uint8Array, text: string): boolean {
  const other = Buffer.from(text, "utf8");
  return bytes.length === other.length && timingSafeEqual(bytes, other);
}

function lost(path: string, why: string): Problem {
  return new Problem("store_unavailable", {
    detail: `\`${path}\` is missing or was replaced: ${why}`,
    remedy: "Put back the backup of the whole home, or begin anew in another folder with `--home`.",
  });
}
