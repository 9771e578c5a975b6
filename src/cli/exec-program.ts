import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { findExecutable } from "../sandbox/find-executable.ts";
import { resolveMounts, within } from "../sandbox/resolve-mounts.ts";
import { findProgram } from "../upstreams/program-files.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

/** What a command line runs, with what it must be able to read. */
export interface ExecProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly programFiles: readonly string[];
}

/** Where a command line is run. */
export interface ExecPlaces {
  readonly cwd: string;
  readonly searchPath: string;
  /** Doorward's: nothing in it is opened, nor what holds it. */
  readonly home: string;
  /** The person's: it is not opened as a whole, nor what holds it. */
  readonly userHome: string;
}

/** Trees that every sandbox shows. */
const SYSTEM_TREES = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];

/**
 * Finds the program of a command line. One outside of the system's own folders brings its files along.
 *
 * @throws {CommandFailure} when there is none.
 */
export function findExecProgram(words: readonly [string, ...string[]], places: ExecPlaces): ExecProgram {
  const [command, ...args] = words;
  const found = findExecutable(command, places);
  if (found === undefined) throw new CommandFailure(EXIT.failed, `there is no program \`${command}\``);
  if (SYSTEM_TREES.some((tree) => within(tree, found)) || within(places.cwd, found)) {
    return { command: found, args, programFiles: [] };
  }
  const { searchPath } = places;
  const closed = [places.userHome, places.home];
  const program = findProgram(
    { command: found, args, cwd: places.cwd },
    { node: process.execPath, searchPath, closed },
  );
  if ("fault" in program) throw new CommandFailure(EXIT.failed, `${program.fault}. ${program.remedy}`);
  return program;
}

/**
 * Judges the folders that a command shall see.
 *
 * @returns Absolute paths. @throws {CommandFailure} for one that would open the person's home, Doorward's, or the system.
 */
export function checkExecFolders(
  asked: { readonly read: readonly string[]; readonly write: readonly string[] },
  { cwd, home, userHome }: ExecPlaces,
): { readonly read: readonly string[]; readonly write: readonly string[] } {
  const [read, write] = [asked.read, asked.write].map((paths) => paths.map((path) => resolve(cwd, path)));
  const found = resolveMounts({ read: read!, write: write!, home });
  if ("fault" in found) throw new CommandFailure(EXIT.usage, `${found.fault.detail}. ${REMEDY}`);
  const open = found.mounts.find(({ source }) => within(source, realOf(userHome)));
  if (open !== undefined) throw new CommandFailure(EXIT.usage, `\`${open.at}\` would open your home. ${REMEDY}`);
  return { read: read!, write: write! };
}

const REMEDY = "Work in a folder of its own, and name what else is needed with `--read` and `--write`.";

function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
