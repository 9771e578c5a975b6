import { closeSync, existsSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve, sep } from "node:path";
import { findExecutable } from "../sandbox/find-executable.ts";
import type { StdioCommand } from "./packages.ts";

/** Trees that every sandbox shows; naming them again adds nothing. */
const SYSTEM_TREES = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/** Programs whose first argument that is a file is what they run. */
const INTERPRETERS = /^(?:node|nodejs|bun|deno|python(?:\d(?:\.\d+)?)?|ruby|perl|php|sh|bash|dash|zsh)$/;
/** Programs that fetch what they run at each start: what that is cannot be pinned, and a sandbox has no way to it. */
const FETCHERS = new Map([
  ["uvx", "Install it once with `uv tool install NAME==VERSION` and name its program."],
  ["pipx", "Install it once with `pipx install NAME==VERSION` and name its program."],
  ["bunx", "Write `npx NAME@VERSION`, which Doorward installs itself and pins."],
  ["pnpx", "Write `npx NAME@VERSION`, which Doorward installs itself and pins."],
  ["docker", "A container is a sandbox of its own: run it elsewhere and name its URL."],
  ["podman", "A container is a sandbox of its own: run it elsewhere and name its URL."],
]);
const SHEBANG_BYTES = 256;

/** A program that was found, with what it must be able to read. */
export interface FoundProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly programFiles: readonly string[];
}

/** Where to look. */
export interface ProgramPlaces {
  /** The node that Doorward itself runs with; `node` means this one. */
  readonly node: string;
  readonly searchPath: string | undefined;
  /** Folders that are never opened as a program's own, nor what holds them: the person's and Doorward's home. */
  readonly closed: readonly string[];
}

/**
 * Finds a command on this machine and the files that are its own: the program, the script that it runs, the package that
 * holds the script and the `node_modules` beside and above it, or the virtual environment of a Python program.
 *
 * @returns The program, or what is missing and what to do. Reads the disk; never throws.
 */
export function findProgram(
  server: StdioCommand,
  places: ProgramPlaces,
): FoundProgram | { readonly fault: string; readonly remedy: string } {
  const name = basename(server.command);
  const fetcher = FETCHERS.get(name);
  if (fetcher !== undefined) return { fault: `\`${name}\` fetches what it runs at each start`, remedy: fetcher };
  const found = name === "node" && !server.command.includes(sep) ? places.node : locate(server, places);
  if (found === undefined) {
    return {
      fault: `there is no program \`${server.command}\``,
      remedy: "Install it, or name it by its whole path in `mcp.command`.",
    };
  }
  const command = realpathSync(found);
  if (runsOnNode(command))
    return withScript({ command: places.node, args: [command, ...server.args] }, 0, server.cwd, places);
  const script = INTERPRETERS.test(name) ? scriptIndex(server) : -1;
  // An environment of Python is entered by the path that is called, and not by the program behind it.
  const entered = pythonEnvironment(found) ?? pythonEnvironment(shebang(command) ?? "");
  if (entered === undefined) return withScript({ command, args: server.args }, script, server.cwd, places);
  const program = withScript({ command: found, args: server.args }, script, server.cwd, places);
  const python = realpathSync(shebang(command) ?? found);
  return {
    ...program,
    programFiles: ownFiles([...program.programFiles, entered, python, dirname(dirname(python))], places),
  };
}

function locate({ command, cwd = sep }: StdioCommand, { searchPath = "" }: ProgramPlaces): string | undefined {
  return findExecutable(command, { cwd, searchPath });
}

/** The place of the first argument that is a file; options and their words come before it. */
function scriptIndex({ args, cwd }: StdioCommand): number {
  return args.findIndex((arg) => !arg.startsWith("-") && isFile(resolve(cwd ?? sep, arg)));
}

function withScript(
  { command, args }: { readonly command: string; readonly args: readonly string[] },
  index: number,
  cwd: string | undefined,
  places: ProgramPlaces,
): FoundProgram {
  const script = args[index];
  if (script === undefined) return { command, args, programFiles: ownFiles([command], places) };
  const path = realpathSync(resolve(cwd ?? sep, script));
  return {
    command,
    args: args.with(index, path),
    programFiles: ownFiles([command, path, ...packageFolders(path, places.closed)], places),
  };
}

/** The package that a script belongs to, or else its folder, and the `node_modules` from which it may load. */
function packageFolders(script: string, closed: readonly string[]): readonly string[] {
  const above: string[] = [];
  for (let folder = dirname(script); folder !== dirname(folder); folder = dirname(folder)) above.push(folder);
  const own = above.find((folder) => existsSync(join(folder, "package.json"))) ?? dirname(script);
  const modules = above.flatMap((folder) =>
    basename(folder) === "node_modules" ? [folder] : [join(folder, "node_modules")].filter((path) => existsSync(path)),
  );
  return [own, ...modules].filter((folder) => !opens(folder, closed));
}

/** Whether opening a folder opens one of the closed ones; what lies inside a closed one may be opened by name. */
function opens(folder: string, closed: readonly string[]): boolean {
  const tooWide = ["/", "/tmp", "/etc", "/var", "/home", "/root", "/opt", "/srv", "/mnt"];
  return tooWide.includes(folder) || closed.some((one) => one === folder || one.startsWith(folder + sep));
}

/** Paths without what every sandbox shows, without what would open a closed folder, and without what lies in another one of the list. */
export function ownFiles(paths: readonly string[], { closed }: ProgramPlaces): readonly string[] {
  const unique = [...new Set(paths)].filter(
    (path) => !SYSTEM_TREES.some((tree) => path === tree || path.startsWith(tree + sep)) && !opens(path, closed),
  );
  return unique.filter((path) => !unique.some((other) => other !== path && path.startsWith(other + sep)));
}

/** The program that a script names in its first line; `undefined` for other files. */
function shebang(path: string): string | undefined {
  if (!isFile(path)) return undefined;
  const line = readHead(path).split("\n", 1)[0] ?? "";
  const [program = "", argument = ""] = line.startsWith("#!") ? line.slice(2).trim().split(/\s+/) : [];
  if (program === "") return undefined;
  return basename(program) === "env" ? argument : program;
}

/** Whether a file is a script for node: by its first line, or by its name. */
export function runsOnNode(path: string): boolean {
  const program = shebang(path);
  return program === undefined ? /\.[cm]?js$/.test(path) : /^node(?:js)?$/.test(basename(program));
}

/** The folder of a Python environment that a program lies in; `undefined` when it is in none. */
function pythonEnvironment(program: string): string | undefined {
  if (!isAbsolute(program)) return undefined;
  const folder = dirname(dirname(program));
  return existsSync(join(folder, "pyvenv.cfg")) ? folder : undefined;
}

function readHead(path: string): string {
  const file = openSync(path, "r");
  try {
    const head = Buffer.alloc(SHEBANG_BYTES);
    return head.toString("latin1", 0, readSync(file, head, 0, SHEBANG_BYTES, 0));
  } finally {
    closeSync(file);
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
