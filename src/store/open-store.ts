import { chmodSync, closeSync, constants, existsSync, openSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Kysely } from "kysely";
import { Problem } from "../base/problem.ts";
import { migrate } from "./migrate.ts";
import type { Database } from "./schema.ts";
import { sqliteDialect } from "./sqlite-dialect.ts";
import { isCallersFault, storeProblem } from "./store-problem.ts";

/** How long a statement waits for another process's lock. The home's lock makes that rare: a CLI command that just ends. */
const BUSY_TIMEOUT_MS = 5_000;

/** A file larger than this is not checked page by page at each start; SQLite still finds a bad page when it reads it. */
const MAX_CHECKED_BYTES = 64 * 1024 * 1024;

/** The durable state of a home. Close it when done: closing folds the write-ahead log into the file. */
export interface Store extends AsyncDisposable {
  readonly db: Kysely<Database>;
  /**
   * Whether the state can be read and written now. Cheap: writes only to find out whether an earlier failure is over.
   *
   * Never throws; the reason is for the owner.
   */
  healthy(): { readonly ok: true } | { readonly ok: false; readonly reason: string };
}

/**
 * Opens the state file, makes it if it is not there (0600), and brings it up to date.
 *
 * Committed means on disk: write-ahead log with `synchronous=FULL`, one fsync per transaction. A statement that fails for
 * a reason outside the program (disk, lock, damage) throws {@link Problem} `store_unavailable`; a violated constraint
 * keeps its own error.
 *
 * @throws {Problem} `store_unavailable` when the file is damaged, not Doorward's, newer than this Doorward or not accessible.
 */
export function openStore({ path }: { readonly path: string }): Store {
  const database = openDatabase(path);
  const inode = statSync(path).ino;
  let failure: string | undefined;
  const mapError = (error: unknown) => {
    if (isCallersFault(error)) return error;
    const problem = storeProblem(path, error);
    failure = problem.message;
    return problem;
  };
  const db = new Kysely<Database>({
    dialect: sqliteDialect({
      database,
      mapError,
      onCommit: () => {
        failure = undefined;
      },
    }),
  });
  return {
    db,
    healthy() {
      if (!database.isOpen) return { ok: false, reason: "the state is closed" };
      if (replaced(path, inode)) return { ok: false, reason: `\`${path}\` was removed or replaced while in use` };
      try {
        if (failure === undefined) database.prepare("SELECT 1 FROM settings LIMIT 1").get();
        else if (!database.isTransaction) probeWrite(database);
        else return { ok: false, reason: failure };
        failure = undefined;
        return { ok: true };
      } catch (error) {
        failure = storeProblem(path, error).message;
        return { ok: false, reason: failure };
      }
    },
    [Symbol.asyncDispose]: () => db.destroy(),
  };
}

function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    makePrivate(path);
    const hasLog = existsSync(`${path}-wal`);
    database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
    database.enableDefensive(true);
    database.exec("PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;");
    if (!hasLog) checkLength(database, path);
    checkPages(database, path);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    migrate(database, path);
    return database;
  } catch (error) {
    if (database?.isOpen) database.close();
    throw error instanceof Problem ? error : storeProblem(path, error);
  }
}

/** The log and index files that SQLite makes beside it inherit this mode. */
function makePrivate(path: string): void {
  if (!existsSync(path)) closeSync(openSync(path, constants.O_CREAT | constants.O_RDWR, 0o600));
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
}

/**
 * SQLite reads a page that the file's end cuts off as if zeros followed. Not asked while a write-ahead log is there: the end
 * may be unfinished rightly then, and the log completes it.
 */
function checkLength(database: DatabaseSync, path: string): void {
  const { size } = statSync(path);
  const pageBytes = Number(database.prepare("PRAGMA page_size").get()?.["page_size"]);
  if (size % pageBytes !== 0) throw storeProblem(path, new Error(`${size} bytes are no whole pages`), "damaged");
}

function checkPages(database: DatabaseSync, path: string): void {
  if (statSync(path).size > MAX_CHECKED_BYTES) return;
  const row = database.prepare("PRAGMA quick_check(1)").get();
  const verdict = row === undefined ? "no answer" : String(Object.values(row)[0]);
  if (verdict !== "ok") throw storeProblem(path, new Error(verdict), "damaged");
}

function replaced(path: string, inode: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino !== inode;
}

/** Goes through the write-ahead log and its fsync, and changes nothing. */
function probeWrite(database: DatabaseSync): void {
  try {
    database.exec(`BEGIN IMMEDIATE;
      INSERT INTO settings (name, value) VALUES ('probe', x'00') ON CONFLICT (name) DO UPDATE SET value = x'00';
      COMMIT;`);
  } finally {
    if (database.isTransaction) database.exec("ROLLBACK");
  }
}
