import { closeSync, openSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

const RETRY_MS = 15;

/** A lock that is held; dispose it to let the next one in. */
export interface FileLock extends AsyncDisposable {
  readonly path: string;
}

/**
 * Takes an exclusive lock that lives in a file, across processes.
 *
 * The lock is the system's own (SQLite takes it): it goes with its process, even with kill -9, so that nothing must be
 * guessed from pids and ages. The file goes too when the lock is given back.
 *
 * @returns `undefined` when it was not to be had within `waitMs`.
 * @throws What the system says when the file cannot be made.
 */
export async function acquireFileLock(
  path: string,
  { waitMs }: { readonly waitMs: number },
): Promise<FileLock | undefined> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const database = tryLock(path);
    if (database !== undefined) {
      return {
        path,
        [Symbol.asyncDispose]: async () => {
          // Removed while it is still held: whoever waits on this file finds, once it has the lock, that it is no longer at its path.
          await rm(path, { force: true });
          database.close();
        },
      };
    }
    if (performance.now() > deadline) return undefined;
    await sleep(RETRY_MS);
  }
}

function tryLock(path: string): DatabaseSync | undefined {
  createIfMissing(path);
  const before = identityOf(path);
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
  // INVARIANT: the file that is locked is the one at the path, else two could hold "the" lock.
  if (before !== undefined && before === identityOf(path)) return database;
  database.close();
  return undefined;
}

/** Fails when the file is there: closing a second descriptor of it would drop a lock that this process holds on it. */
function createIfMissing(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** An inode's number is used again once its file is gone; with the time of its birth it is not. */
function identityOf(path: string): string | undefined {
  const facts = statSync(path, { bigint: true, throwIfNoEntry: false });
  return facts && `${facts.dev}:${facts.ino}:${facts.birthtimeNs}`;
}

/** SQLITE_BUSY and its extended codes. */
function isBusy(error: unknown): boolean {
  const { errcode } = error as { errcode?: number };
  return errcode !== undefined && (errcode & 0xff) === 5;
}
