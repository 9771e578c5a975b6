import { statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve, sep } from "node:path";

/**
 * Finds the program that a command names, as a shell would: by a path, or in the folders of a search path.
 *
 * Relative folders of the search path do not count: what lies where one happens to work is not a program of this machine.
 *
 * @param cwd - Absolute: where a relative path begins.
 * @returns Its path, with links as they are; `undefined` when there is none that can be executed. Reads the disk; never throws.
 */
export function findExecutable(
  command: string,
  { cwd, searchPath }: { readonly cwd: string; readonly searchPath: string },
): string | undefined {
  const candidates = command.includes(sep)
    ? [resolve(cwd, command)]
    : searchPath
        .split(delimiter)
        .filter(isAbsolute)
        .map((folder) => join(folder, command));
  return candidates.find((path) => {
    const facts = statSync(path, { throwIfNoEntry: false });
    return facts?.isFile() && (facts.mode & 0o111) !== 0;
  });
}
