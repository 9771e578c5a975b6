import { mkdirSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { Problem } from "../base/problem.ts";

/** What {@link createHome} found or made. */
export interface HomeFolder {
  /** Absolute. */
  readonly path: string;
  readonly made: boolean;
}

/**
 * Makes the home folder (0700), or checks the one that is there.
 *
 * Everything below relies on this folder for privacy, so one that others can enter is refused, not repaired: what
 * lies in it may have been read or written already.
 *
 * @param uid - The effective user id of this process; `undefined` where the system has none.
 * @throws {Problem} `store_unavailable` when the folder is another user's, open to others, not a folder, or cannot be made.
 */
export function createHome(home: string, { uid }: { readonly uid: number | undefined }): HomeFolder {
  const path = resolve(home);
  const made = makeFolder(path);
  const stat = statSync(path);
  if (!stat.isDirectory()) throw refusal(`the home \`${path}\` is not a folder`, "Name another one with `--home`.");
  if (uid === undefined) return { path, made };
  if (stat.uid !== uid) {
    throw refusal(
      `the home \`${path}\` belongs to another user (uid ${stat.uid})`,
      "Run Doorward as that user, or name another folder with `--home`.",
    );
  }
  if ((stat.mode & 0o077) !== 0) {
    throw refusal(
      `the home \`${path}\` is open to other users`,
      `Run \`chmod 700 ${path}\` and look at what is in it.`,
    );
  }
  return { path, made };
}

function makeFolder(path: string): boolean {
  try {
    return mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw refusal(`the home \`${path}\` cannot be made`, "Name another folder with `--home`.", error);
  }
}

function refusal(detail: string, remedy: string, cause?: unknown): Problem {
  return new Problem("store_unavailable", { detail, remedy, cause });
}
