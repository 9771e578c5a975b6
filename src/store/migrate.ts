import type { DatabaseSync } from "node:sqlite";
import { Problem } from "../base/problem.ts";
import { MIGRATIONS } from "./migrations.ts";

/**
 * Brings the state's tables up to date, all steps or none.
 *
 * @throws {Problem} `store_unavailable` when the file belongs to another program or to a newer Doorward.
 */
export function migrate(database: DatabaseSync, path: string): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const done = appliedMigrations(database, path);
    for (const [index, name] of done.entries()) {
      if (MIGRATIONS[index]?.name !== name) throw newerProblem(path, name);
    }
    const note = database.prepare(
      "INSERT INTO schema_migrations (name, applied_at) VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ'))",
    );
    for (const { name, sql } of MIGRATIONS.slice(done.length)) {
      database.exec(sql);
      note.run(name);
    }
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function appliedMigrations(database: DatabaseSync, path: string): string[] {
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  if (tables.length === 0) {
    database.exec("CREATE TABLE schema_migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL) STRICT");
    return [];
  }
  if (!tables.some(({ name }) => name === "schema_migrations")) {
    throw new Problem("store_unavailable", {
      detail: `\`${path}\` is a database of another program`,
      remedy: "Name another folder with `--home`.",
    });
  }
  return database
    .prepare("SELECT name FROM schema_migrations ORDER BY name")
    .all()
    .map(({ name }) => String(name));
}

function newerProblem(path: string, name: string): Problem {
  return new Problem("store_unavailable", {
    detail: `the state \`${path}\` was written by a newer Doorward (\`${name}\`)`,
    remedy: "Upgrade Doorward to at least the version that wrote it.",
  });
}
