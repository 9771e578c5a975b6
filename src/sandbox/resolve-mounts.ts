import { statSync } from "node:fs";
import { dirname, isAbsolute, join, normalize, relative } from "node:path";
import { type TracedPath, tracePath } from "./trace-path.ts";

/** One file or folder of the host that is seen inside. */
export interface Mount {
  /** On the host, without symbolic links. */
  readonly source: string;
  /** Inside. */
  readonly at: string;
  /** `device`: a device file, which is used as one. */
  readonly access: "read" | "write" | "device";
}

/** Declared paths that cannot be opened, and what to write instead. */
export interface MountFault {
  readonly detail: string;
  readonly remedy: string;
}

/** Whole trees of the system that hold sockets, devices or other processes. */
const CLOSED_TREES = ["/proc", "/sys", "/dev", "/run/doorward", "/run/user"];
/** Folders that are too wide to be opened as a whole; what lies in them may be. */
const TOO_WIDE = ["/", "/run", "/tmp", "/etc", "/var"];

/** What no sandbox may open. */
export interface ClosedPlaces {
  /** Doorward's home: neither it nor what holds it is opened. */
  readonly home: string;
  /** Files outside of the home that nobody may read: the key that protects the vault. */
  readonly hidden?: readonly string[];
  /** Files that may be read and not written: the rules. */
  readonly fixed?: readonly string[];
}

/** What a server's sandbox shall show, as its entry names it. */
export interface AskedMounts extends ClosedPlaces {
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Folders that the servers of other services may write. */
  readonly others?: readonly string[] | undefined;
}

/**
 * Turns the declared paths of a server into mounts: links are followed, and the place where they end is judged.
 *
 * None may go through a link that stands where some server may write: that server could lead it to any folder of the
 * host, and have that opened at the next start.
 *
 * @returns The mounts, or the first path that cannot be had. Never throws.
 */
export function resolveMounts(
  asked: AskedMounts,
): { readonly mounts: readonly Mount[] } | { readonly fault: MountFault } {
  const mounts: Mount[] = [];
  const places = closedPlaces(asked);
  for (const access of ["read", "write"] as const) {
    for (const declared of asked[access]) {
      const at = isAbsolute(declared) ? trimmed(declared) : undefined;
      const traced = at === undefined ? undefined : tracePath(at);
      if (at === undefined || traced === undefined) return { fault: missing(declared) };
      const wrong = judge({ at, traced, access }, places);
      if (wrong !== undefined) return { fault: refused(declared, wrong) };
      mounts.push({ source: traced.end, at, access }, ...held(at, asked.write));
    }
  }
  return { mounts };
}

/**
 * Turns the files of a server's program into mounts. They are not declared, but found where the declared program is: they
 * may lie in the folder of installed packages, and what the server may write shows them already.
 *
 * @param programFiles - Absolute; each exists.
 * @returns The mounts, or the first path that cannot be had. Never throws.
 */
export function resolveProgramMounts(
  programFiles: readonly string[],
  asked: AskedMounts,
): { readonly mounts: readonly Mount[] } | { readonly fault: MountFault } {
  const mounts: Mount[] = [];
  const places = closedPlaces(asked);
  const writable = [...asked.write.map(trimmed), ...realOf(asked.write)];
  for (const at of programFiles) {
    if (writable.some((folder) => within(folder, at))) continue;
    const traced = tracePath(at);
    if (traced === undefined) return { fault: missing(at) };
    if (writable.some((folder) => within(folder, traced.end))) continue;
    const wrong = judge({ at, traced, access: "program" }, places);
    if (wrong !== undefined) return { fault: refused(at, wrong) };
    // A link in a folder that is seen inside is seen there as the link that it is.
    const shown = programFiles.some((other) => other !== at && within(other, at));
    const seenAt = traced.end === at ? [at] : shown ? [traced.end] : [at, traced.end];
    mounts.push(...seenAt.map((place) => ({ source: traced.end, at: place, access: "read" as const })));
  }
  return { mounts };
}

/** Whether `inner` is `outer` or lies in it. Both absolute and normal. */
export function within(outer: string, inner: string): boolean {
  const way = relative(outer, inner);
  return way === "" || (way !== ".." && !way.startsWith("../") && !isAbsolute(way));
}

interface Judged {
  readonly at: string;
  readonly traced: TracedPath;
  readonly access: "read" | "write" | "program";
}

/** All of them without links. */
interface RealPlaces {
  readonly home: string;
  readonly packages: string;
  readonly hidden: readonly string[];
  readonly fixed: readonly string[];
  readonly writable: readonly string[];
}

function closedPlaces({ home, hidden = [], fixed = [], write, others = [] }: AskedMounts): RealPlaces {
  const real = realOf([home])[0] ?? home;
  return {
    home: real,
    packages: join(real, "packages"),
    hidden: realOf(hidden),
    fixed: realOf(fixed),
    writable: realOf([...write, ...others]),
  };
}

function judge({ at, traced, access }: Judged, places: RealPlaces): string | undefined {
  const { end: source, links } = traced;
  const { home, packages, hidden, fixed, writable } = places;
  for (const end of [at, source]) {
    if (TOO_WIDE.includes(end)) return "is too wide: name the folders in it that are needed";
    if (CLOSED_TREES.some((tree) => within(tree, end))) return "belongs to the system";
    const inHome = within(home, end) && !(access === "program" && within(packages, end));
    if (inHome || within(end, home)) return "would open the Doorward home";
  }
  if (CLOSED_TREES.some((tree) => within(source, tree))) return "would open a part of the system";
  if (hidden.some((file) => within(source, file))) return "would open the key of Doorward's vault";
  if (access === "write" && fixed.some((file) => within(source, file)))
    return "would let the server write doorward.yaml, which says what it may do";
  const kind = statSync(source, { throwIfNoEntry: false });
  if (!kind?.isFile() && !kind?.isDirectory()) return "is neither a file nor a folder";
  const loose = links.some((link) => writable.some((folder) => link !== folder && within(folder, link)));
  return loose ? "goes through a link that a server may change: name the place where it leads" : undefined;
}

/**
 * The folders between a writable one and a path in it, as mounts of their own: no server can move a place where something
 * is mounted, so none can lay a link over one of them while another start resolves the path.
 */
function held(at: string, write: readonly string[]): readonly Mount[] {
  const outer = write.map(trimmed).find((folder) => folder !== at && within(folder, at));
  if (outer === undefined) return [];
  const mounts: Mount[] = [];
  for (let inside = dirname(at); inside !== outer && within(outer, inside); inside = dirname(inside)) {
    mounts.push(...realOf([inside]).map((source) => ({ source, at: inside, access: "write" as const })));
  }
  return mounts;
}

function missing(declared: string): MountFault {
  return {
    detail: `the declared path \`${declared}\` does not exist`,
    remedy: "Make it, or take it out of `sandbox.read` and `sandbox.write` of the service.",
  };
}

function refused(declared: string, wrong: string): MountFault {
  return {
    detail: `the declared path \`${declared}\` ${wrong}`,
    remedy: "Name a narrower path in `sandbox.read` or `sandbox.write` of the service.",
  };
}

/** Those that exist, without links. */
function realOf(paths: readonly string[]): readonly string[] {
  return paths.flatMap((path) => tracePath(path)?.end ?? []);
}

function trimmed(path: string): string {
  const plain = normalize(path);
  return plain !== "/" && plain.endsWith("/") ? dirname(`${plain}x`) : plain;
}
