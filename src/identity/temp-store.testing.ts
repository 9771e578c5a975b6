import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { sql } from "kysely";
import { openStore, type Store } from "../store/open-store.ts";

/** A folder that goes when the test does. */
export function tempFolder(context: Pick<TestContext, "after">): string {
  const folder = mkdtempSync(join(tmpdir(), "doorward-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A state file in a folder of its own; `reopen` is what a restart does. */
export function tempStore(context: Pick<TestContext, "after">) {
  const folder = tempFolder(context);
  const path = join(folder, "state.db");
  let store: Store = openStore({ path });
  context.after(() => store[Symbol.asyncDispose]());
  return {
    folder,
    path,
    get db() {
      return store.db;
    },
    /** From now on every write fails as on a read-only disk; `reopen` ends it. */
    refuseWrites: () => sql`PRAGMA query_only = ON`.execute(store.db),
    async reopen() {
      await store[Symbol.asyncDispose]();
      store = openStore({ path });
      return store.db;
    },
  };
}
