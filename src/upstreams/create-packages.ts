import { existsSync } from "node:fs";
import { join } from "node:path";
import { Problem } from "../base/problem.ts";
import { isNpx, parseNpxArguments } from "../config/npx-package.ts";
import { digestTree, lookAtTree } from "./package-digest.ts";
import { type InstallTools, installPackage, type PackageSpec } from "./package-install.ts";
import { readLockFacts } from "./package-lock.ts";
import { findPackageProgram } from "./package-program.ts";
import type { Packages, ResolvedCommand, StdioCommand } from "./packages.ts";
import type { PackageFacts } from "./pins.ts";
import { findProgram, ownFiles, type ProgramPlaces, runsOnNode } from "./program-files.ts";

/**
 * Makes the finder of programs.
 *
 * A package is installed once per version, whichever services use it. Its files are read again only when the system says that one was touched.
 */
export function createPackages(deps: {
  /** `<home>/packages`; made when it is needed. */
  readonly folder: string;
  readonly places: ProgramPlaces;
  readonly tools: InstallTools;
}): Packages {
  const { folder, places, tools } = deps;
  const installing = new Map<string, Promise<void>>();
  const digests = new Map<string, { readonly stamp: string; readonly files: string }>();

  const install = (spec: PackageSpec, target: string): Promise<void> => {
    const under = installing.get(target);
    if (under !== undefined) return under;
    const done = installPackage(spec, { packages: folder, target }, tools).finally(() => installing.delete(target));
    installing.set(target, done);
    return done;
  };

  const factsOf = async (spec: PackageSpec, target: string): Promise<PackageFacts> => {
    const look = await lookAtTree(target);
    const known = digests.get(target);
    const files = known?.stamp === look.stamp ? known.files : await digestTree(target, look.entries);
    digests.set(target, { stamp: look.stamp, files });
    const lock = await readLockFacts(target, spec);
    if (lock === undefined) throw damaged(spec, target, "its lock file cannot be read");
    return { name: `${spec.name}@${spec.version}`, integrity: lock.integrity, lock: lock.digest, files };
  };

  const resolvePackage = async (server: StdioCommand): Promise<ResolvedCommand> => {
    const spec = parseNpxArguments(server.args);
    if (!spec.ok)
      throw new Problem("upstream_unreachable", { detail: spec.problem, remedy: `In doorward.yaml, ${spec.remedy}.` });
    const target = join(folder, folderName(spec.value));
    if (!existsSync(target)) await install(spec.value, target);
    const facts = await factsOf(spec.value, target);
    const program = await findPackageProgram(target, spec.value);
    if ("fault" in program) throw damaged(spec.value, target, program.fault);
    const byNode = runsOnNode(program.path);
    return {
      command: byNode ? places.node : program.path,
      args: byNode ? [program.path, ...spec.value.args] : spec.value.args,
      programFiles: ownFiles(byNode ? [places.node, target] : [target], places),
      package: facts,
    };
  };

  return {
    async resolve(server) {
      if (isNpx(server.command)) return await resolvePackage(server);
      const found = findProgram(server, places);
      if ("fault" in found) throw new Problem("upstream_unreachable", { detail: found.fault, remedy: found.remedy });
      return { ...found, package: undefined };
    },
  };
}

/** `@scope/name` at `1.2.3` lies in `@scope+name@1.2.3`; no name of a package holds a plus. */
function folderName({ name, version }: PackageSpec): string {
  return `${name.replace("/", "+")}@${version}`;
}

function damaged({ name, version }: PackageSpec, target: string, why: string): Problem {
  return new Problem("upstream_unreachable", {
    detail: `the installed package \`${name}@${version}\` cannot be used: ${why}`,
    remedy: `Remove \`${target}\`; it is installed again at the next start.`,
  });
}
