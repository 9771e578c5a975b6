import { lstatSync, readlinkSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** Where a path ends, and what led there. */
export interface TracedPath {
  /** Without symbolic links. */
  readonly end: string;
  /** The links on the way, each by the place where it stands. */
  readonly links: readonly string[];
}

/** The kernel's own limit. */
const LINKS_MAX = 40;

/**
 * Follows a path link by link, as the kernel does, and remembers each: whoever can write where one stands decides where
 * the path ends.
 *
 * @param path - Absolute.
 * @returns `undefined` when it does not end anywhere, or cannot be looked at.
 */
export function tracePath(path: string): TracedPath | undefined {
  const links: string[] = [];
  let rest = partsOf(path);
  let at = "/";
  try {
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      const next = part === ".." ? dirname(at) : join(at, part);
      if (part === ".." || !lstatSync(next).isSymbolicLink()) {
        at = next;
        continue;
      }
      links.push(next);
      if (links.length > LINKS_MAX) return undefined;
      const target = readlinkSync(next);
      rest = [...partsOf(target), ...rest];
      if (isAbsolute(target)) at = "/";
    }
  } catch {
    return undefined;
  }
  return { end: at, links };
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
