import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEvent, AuditLog } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import { openStore, type Store } from "../store/open-store.ts";
import { createBindingStore } from "./binding-store.ts";
import { createVault, type Vault } from "./create-vault.ts";
import type { KekChoice, KekSources } from "./kek.ts";
import type { Keychain } from "./keychain.ts";
import { createSecretStore } from "./secret-store.ts";
import { createSettingsStore } from "./settings-store.ts";
import { type UnlockedHome, unlockHome } from "./unlock-home.ts";

/** An instant that tests reckon from. */
export const NOON = new Date("2026-03-01T12:00:00.000Z");

/** 32 bytes in hex, as the environment would hold them. */
export const KEK_TEXT = "11".repeat(32);

/** A folder of its own under the system's temporary one, taken away in the end. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "doorward-vault-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** An audit log in memory that can be told to fail, or to wait. */
export function memoryAudit(): AuditLog & { readonly events: AuditEvent[]; failing: boolean; gate: Promise<void> } {
  const events: AuditEvent[] = [];
  return {
    events,
    failing: false,
    gate: Promise.resolve(),
    async append(event) {
      await this.gate;
      if (this.failing) throw new Problem("audit_unavailable");
      events.push(event);
    },
    digest: () => "hmac:0",
    unavailable: () => undefined,
  };
}

/** A keychain in memory; `answers: false` behaves like a system without one. */
export function memoryKeychain({
  answers,
}: {
  readonly answers: boolean;
}): Keychain & { readonly entries: Map<string, string> } {
  const entries = new Map<string, string>();
  const check = () => {
    if (!answers) throw new Error("no keychain answers");
  };
  return {
    entries,
    async get({ service, account }) {
      check();
      return entries.get(`${service}/${account}`);
    },
    async set({ service, account }, value) {
      check();
      entries.set(`${service}/${account}`, value);
    },
  };
}

/** Sources of a key for tests: the variable `KEK` and no keychain. */
export function kekSources(folder: string, changes: Partial<KekSources> = {}): KekSources {
  return {
    configFolder: join(folder, "config"),
    environment: (name) => (name === "KEK" ? KEK_TEXT : undefined),
    keychain: memoryKeychain({ answers: false }),
    uid: process.geteuid?.(),
    ...changes,
  };
}

/** An open home: its state, keys, audit and vault. Disposing of it closes the state; the folder stays. */
export interface OpenHome extends AsyncDisposable {
  readonly store: Store;
  readonly unlocked: UnlockedHome;
  readonly audit: ReturnType<typeof memoryAudit>;
  readonly environment: Map<string, string>;
  readonly vault: Vault;
}

/** Opens (or sets up) the home in a folder, as `main.ts` would. */
export async function openHome(home: string, choice: KekChoice = { kind: "env", name: "KEK" }): Promise<OpenHome> {
  const store = openStore({ path: join(home, "state.db") });
  try {
    const settings = createSettingsStore(store.db);
    const unlocked = await unlockHome({ home, settings, kek: kekSources(home), choice });
    const audit = memoryAudit();
    const environment = new Map<string, string>();
    const vault = createVault({
      home,
      secrets: createSecretStore(store.db),
      bindings: createBindingStore(store.db),
      keyring: unlocked.keyring,
      sources: { environment: (name) => environment.get(name), keychain: memoryKeychain({ answers: true }) },
      audit,
    });
    return { store, unlocked, audit, environment, vault, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}
