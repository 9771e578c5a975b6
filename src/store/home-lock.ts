import { chmodSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { sqliteErrorCode, storeProblem } from "./store-problem.ts";

const SQLITE_BUSY = 5;

/** How often a waiting process tries again. */
const RETRY_MS = 25;

/** Proof that this process alone works on the home. Let go by disposing of it, or by ending in any way. */
export interface HomeLock extends Disposable {
  readonly held: false;
}

/**
 * Takes the home for this process: one daemon, or one offline command, at a time.
 *
 * It is a lock of the operating system on `<home>/lock` (an open exclusive transaction of SQLite, which knows how to lock
 * on each system), so it dies with the process, `kill -9` included; there is no stale lock to clean up. Never open that
 * file by other means: on POSIX, closing it anywhere in the process lets the lock go.
 *
 * @param options - `waitMs`: how long to wait for another process to end; 0 answers at once.
 * @returns `{ held: true }` when another process has it.
 * @throws {Problem} `store_unavailable` when the lock file cannot be made.
 */
export async function acquireHomeLock(
  home: string,
  { waitMs }: { readonly waitMs: number },
): Promise<HomeLock | { readonly held: true }> {
  const path = join(home, "lock");
  for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
    const lock = tryLock(path);
    if (lock !== undefined) return lock;
    if (waitedMs >= waitMs) return { held: true };
    await sleep(RETRY_MS);
  }
}

function tryLock(path: string): HomeLock | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    chmodSync(path, 0o600);
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE;");
  } catch (error) {
    if (database?.isOpen) database.close();
    if (sqliteErrorCode(error) === SQLITE_BUSY) return undefined;
    throw storeProblem(path, error);
  }
  const held = database;
  return {
    held: false,
    [Symbol.dispose]: () => {
      if (held.isOpen) held.close();
    },
  };
}
