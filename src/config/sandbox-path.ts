import { isAbsolute, normalize, relative, resolve, sep } from "node:path";
import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";
import type { Config, Fault, ServiceConfig } from "./schema.ts";

const MAX_PATH_CHARS = 1_024;
/** What no sandbox opens: they lead to other processes and to the machine. */
const CLOSED = ["/proc", "/sys", "/dev"];

/** A path outside the sandbox, as `sandbox.read`, `sandbox.write` and `mcp.cwd` name it; relative to the file's folder. */
export function parseSandboxPath(text: string): Parsed<string> {
  if (text === "" || text.length > MAX_PATH_CHARS || /\p{Cc}/u.test(text)) {
    return unparsed(`${quote(text)} is not a path`, "write a path, absolute or relative to the folder of this file");
  }
  return /^[~$]/.test(text)
    ? unparsed(`${quote(text)} is not expanded`, "write the path out, absolute or relative to the folder of this file")
    : parsed(text);
}

/** The path of a file inside the sandbox. */
export function parseSandboxFile(text: string): Parsed<string> {
  const plain = isAbsolute(text) && normalize(text) === text && !text.endsWith(sep) && !/\p{Cc}/u.test(text);
  if (!plain || text.length > MAX_PATH_CHARS) {
    return unparsed(`${quote(text)} is not an absolute path of a file`, "write it as in `/run/credentials/token`");
  }
  return isClosed(text) ? unparsed(`${quote(text)} is not a place for files`, "write another path") : parsed(text);
}

/**
 * Faults of what services open to their sandboxes: the whole file system, the system's own folders, Doorward's home, whose
 * secrets and state are no server's, and for writing the rules themselves.
 *
 * @param config - Its paths are absolute.
 * @param places - Absolute. `home`: neither it, nor what is in it, nor what holds it may be opened. `file`: the rules.
 */
export function checkSandboxPaths(
  config: Config,
  places: { readonly home: string; readonly file: string },
): readonly Fault[] {
  return [...config.services.values()].flatMap((service) =>
    sandboxPathFaults(service, { folder: undefined, ...places }),
  );
}

/** The same for one service. What is not known is not judged: a relative path without its folder, the home. */
export function sandboxPathFaults(
  service: ServiceConfig,
  places: { readonly folder: string | undefined; readonly home?: string; readonly file?: string },
): readonly Fault[] {
  if (service.kind !== "mcp" || service.server.transport !== "stdio") return [];
  const { cwd, sandbox } = service.server;
  const at = ["services", service.name];
  const named = [
    ...sandbox.read.map((path, index) => ({ path, at: [...at, "sandbox", "read", index] })),
    ...sandbox.write.map((path, index) => ({ path, at: [...at, "sandbox", "write", index], writes: true })),
    ...(cwd === undefined ? [] : [{ path: cwd, at: [...at, "mcp", "cwd"] }]),
  ];
  return named.flatMap(({ path, at, ...how }) => {
    if (!isAbsolute(path) && places.folder === undefined) return [];
    const whole = resolve(places.folder ?? sep, path);
    const holdsRules = "writes" in how && places.file !== undefined && isWithin(places.file, whole);
    const problem =
      closedBecause(whole, places.home) ??
      (holdsRules ? "holds this file, which says what the server may do" : undefined);
    if (problem === undefined) return [];
    return [{ path: at, problem: `${quote(path)} ${problem}`, remedy: "name the folders that the server needs" }];
  });
}

function closedBecause(path: string, home: string | undefined): string | undefined {
  if (path === resolve(sep)) return "is the whole file system";
  if (isClosed(path)) return "is the system's own, and never opened";
  if (home === undefined) return undefined;
  if (isWithin(path, home)) return "is Doorward's own home";
  return isWithin(home, path) ? "holds Doorward's own home" : undefined;
}

function isClosed(path: string): boolean {
  return CLOSED.some((folder) => isWithin(path, folder));
}

function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}
