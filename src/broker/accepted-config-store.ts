import { timingSafeEqual } from "node:crypto";
import type { Kysely } from "kysely";
import type { Database } from "../store/schema.ts";
import { readSetting, writeSetting } from "../store/settings.ts";
import type { Keyring } from "../vault/keyring.ts";

const SETTING = "accepted_config";
const TAG_BYTES = 32;

/** Which doorward.yaml the owner accepted last, by its digest; a row that we did not write counts as none. */
export interface AcceptedConfigStore {
  get(): Promise<string | undefined>;
  put(digest: string): Promise<void>;
}

export function createAcceptedConfigStore(db: Kysely<Database>, keyring: Pick<Keyring, "tag">): AcceptedConfigStore {
  const tag = (digest: string) => keyring.tag("accepted-config", [digest]);
  return {
    async get() {
      const row = await readSetting(db, SETTING);
      if (row === undefined || row.length <= TAG_BYTES) return undefined;
      const digest = Buffer.from(row.subarray(TAG_BYTES)).toString("utf8");
      return timingSafeEqual(row.subarray(0, TAG_BYTES), tag(digest)) ? digest : undefined;
    },
    put: (digest) => writeSetting(db, SETTING, Buffer.concat([tag(digest), Buffer.from(digest, "utf8")])),
  };
}
