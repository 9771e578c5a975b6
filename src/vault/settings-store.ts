import type { Kysely } from "kysely";
import type { Database } from "../store/schema.ts";
import { readSetting, writeSetting } from "../store/settings.ts";

/** What the vault keeps among the home's settings. */
export interface SettingsStore {
  get(name: VaultSetting): Promise<Uint8Array | undefined>;
  /** All of them or none. */
  put(values: { readonly [name in VaultSetting]?: Uint8Array }): Promise<void>;
}

/** `home_id`: ties the state to `vault.json`. `owner`: the sealed assurance level. `bindings_tag`, `pins_tag`: the sets of bindings and pins. */
export type VaultSetting = "home_id" | "owner" | "bindings_tag" | "pins_tag";

/** The settings in the home's database. */
export function createSettingsStore(db: Kysely<Database>): SettingsStore {
  return {
    get: (name) => readSetting(db, name),
    put: (values) =>
      db.transaction().execute(async (transaction) => {
        for (const [name, value] of Object.entries(values)) await writeSetting(transaction, name, value);
      }),
  };
}
