import { basename } from "node:path";
import { type Parsed, parsed, unparsed } from "./parsed.ts";

/** An npm package at one version, and what its program is given. */
export interface NpxPackage {
  readonly name: string;
  /** Exact, as in `2025.4.8`. */
  readonly version: string;
  readonly args: readonly string[];
}

const NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~][a-z0-9._~-]*$/;
const MAX_NAME_CHARS = 214;
/** Semantic Versioning 2.0.0, without a range. */
const VERSION =
  /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const SHAPE = "write `args: [-y, NAME@VERSION, …]` with a whole version, as in `2025.4.8`";

/** Whether a command is npx, which would fetch and run whatever the registry names at that moment. */
export function isNpx(command: string): boolean {
  return /^npx(?:\.cmd)?$/.test(basename(command));
}

/** Reads the arguments of npx: `-y NAME@VERSION …`. Tags, ranges, URLs and other options are refused. */
export function parseNpxArguments(args: readonly string[]): Parsed<NpxPackage> {
  const options = args.findIndex((arg) => arg !== "-y" && arg !== "--yes");
  const spec = options === -1 ? undefined : args[options];
  if (spec === undefined) return unparsed("npx is given no package", SHAPE);
  if (spec.startsWith("-")) return unparsed("npx is given an option that is not read here", SHAPE);
  const [, name = "", version] = /^(@?[^@]*)(?:@(.*))?$/.exec(spec) ?? [];
  if (!NAME.test(name) || name.length > MAX_NAME_CHARS) return unparsed("npx is given no name of a package", SHAPE);
  if (version === undefined) return unparsed("the package has no version, so it could change at any time", SHAPE);
  if (!VERSION.test(version)) return unparsed("the package's version is not one version", SHAPE);
  return parsed({ name, version, args: args.slice(options + 1) });
}
