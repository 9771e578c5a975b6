import { readFileSync } from "node:fs";
import { type Cgroups, findCgroups } from "./cgroups.ts";
import type { ChildSpec, Sandbox } from "./child-spec.ts";
import { type Detection, detectBubblewrap } from "./detect-bubblewrap.ts";
import { ownDevices } from "./own-devices.ts";
import type { ClosedPlaces, Mount } from "./resolve-mounts.ts";
import { sandboxProblem } from "./sandbox-problem.ts";
import { type SandboxHost, startInBubblewrap } from "./start-in-bubblewrap.ts";
import { startPlain } from "./start-plain.ts";

/** What a sandbox is made with. */
export interface SandboxDeps extends ClosedPlaces {
  /** The daemon's PATH: where bubblewrap is looked for, and the programs of children that run without it. */
  readonly path: string;
  /** Where it is known already, and for tests; else this machine's. */
  readonly detect?: () => Promise<Detection>;
  /** For tests; else this machine's. */
  readonly cgroups?: { readonly found: Cgroups | undefined };
}

const CGROUP_MOUNT = "/sys/fs/cgroup";

/**
 * The sandbox for programs that Doorward starts: bubblewrap, a filter of system calls, limits, and one way out.
 *
 * `strict` starts nothing when that cannot be had. `degraded` takes what can be had, and `off` a clean environment and
 * limits alone: {@link SandboxedChild.mode} says what is in force, for the evidence.
 */
export function createSandbox(deps: SandboxDeps): Sandbox {
  const cgroups = deps.cgroups === undefined ? systemCgroups() : deps.cgroups.found;
  const detect = remembered(deps.detect ?? (() => detectBubblewrap(systemFacts(deps.path))));
  let made: readonly Mount[] | undefined;
  const devices = () => {
    made ??= ownDevices(deps.home);
    return made;
  };
  const { home, hidden = [], fixed = [] } = deps;
  const closed = { home, hidden, fixed };
  const host: SandboxHost = { closed, node: process.execPath, arch: process.arch, cgroups, devices };
  return {
    async start(spec) {
      refuseNul(spec);
      if (spec.config.mode === "off") return startPlain(spec, { ...host, path: deps.path, mode: "off" });
      const detection = await detect();
      if (detection.ok) return startInBubblewrap(spec, { ...host, bubblewrap: detection.bubblewrap });
      if (spec.config.mode === "degraded") return startPlain(spec, { ...host, path: deps.path, mode: "degraded" });
      throw sandboxProblem({ service: spec.service, ...detection });
    },
  };
}

/** What is asked of the machine to find bubblewrap. */
export function systemFacts(path: string) {
  const folders = [
    ...new Set(["/usr/bin", "/usr/local/bin", "/bin", ...path.split(":").filter((at) => at.startsWith("/"))]),
  ];
  return { platform: process.platform, arch: process.arch, folders };
}

/** A success stays true; a failure is tried again, so that it can be mended without a restart. */
function remembered(detect: () => Promise<Detection>): () => Promise<Detection> {
  let known: Promise<Detection> | undefined;
  return async () => {
    known ??= detect();
    const found = await known;
    if (!found.ok) known = undefined;
    return found;
  };
}

function systemCgroups(): Cgroups | undefined {
  try {
    return findCgroups({ mount: CGROUP_MOUNT, own: readFileSync("/proc/self/cgroup", "utf8"), pid: process.pid });
  } catch {
    return undefined;
  }
}

/** Options reach bubblewrap separated by NUL: one inside a value would begin an option. */
function refuseNul(spec: ChildSpec): void {
  const { command, args, cwd = "", env, config, programFiles, files, proxySocket = "" } = spec;
  const all = [
    command,
    ...args,
    cwd,
    ...[...env].flat(),
    ...config.read,
    ...config.write,
    ...programFiles,
    proxySocket,
  ];
  if ([...all, ...files.map(({ path }) => path)].every((text) => !text.includes("\0"))) return;
  throw sandboxProblem({
    service: spec.service,
    detail: "a path, an argument or a variable holds a NUL character",
    remedy: "Take it out of the service's entry.",
  });
}
