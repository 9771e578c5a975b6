import type { Kysely } from "kysely";
import type { Database } from "./schema.ts";

/** Reads a named value of the home; `undefined` when it was never written. */
export async function readSetting(db: Kysely<Database>, name: string): Promise<Uint8Array | undefined> {
  const row = await db.selectFrom("settings").select("value").where("name", "=", name).executeTakeFirst();
  return row?.value;
}

/** Writes a named value of the home, durably. Takes a transaction too. */
export async function writeSetting(db: Kysely<Database>, name: string, value: Uint8Array): Promise<void> {
  await db
    .insertInto("settings")
    .values({ name, value })
    .onConflict((conflict) => conflict.column("name").doUpdateSet({ value }))
    .execute();
}
