import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/**
 * Reads which secrets a home has, without opening it: no lock, no key, nothing written.
 *
 * @param path - Of `state.db`.
 * @returns `undefined` when there is no home, or it cannot be read beside whoever has it open.
 */
export function readSecretNames(path: string): ReadonlySet<string> | undefined {
  if (!existsSync(path)) return undefined;
  try {
    using database = new DatabaseSync(path, { readOnly: true });
    const rows = database.prepare("SELECT name FROM secrets").all() as { name: string }[];
    return new Set(rows.map(({ name }) => name));
  } catch {
    return undefined;
  }
}
