import { randomBytes } from "node:crypto";
import type { Cgroup, Cgroups, GroupLimits } from "./cgroups.ts";
import type { ChildSpec, LimitsInForce } from "./child-spec.ts";
import { sandboxProblem } from "./sandbox-problem.ts";

/** How one child is limited. */
export interface ChildLimits {
  readonly inForce: LimitsInForce;
  /** What each process sets for itself, where no group holds it. */
  readonly perProcess: { readonly dataBytes: number | undefined; readonly tasks: number | undefined };
  readonly group: Cgroup | undefined;
}

/** Below this, Node does not start: it reserves address space that counts. */
const LEAST_DATA_BYTES = 1024 * 1024 * 1024;
/** Threads of bubblewrap and of the bridge. */
const OWN_TASKS = 16;
/** Memory of the bridge. */
const OWN_MEMORY_BYTES = 64 * 1024 * 1024;

/**
 * Makes the group of one child, where groups can be made, and says what its processes must limit themselves.
 *
 * @param machine.countsTasks - Whether the kernel counts this user's processes: it does not for root.
 */
export function limitChild(
  spec: ChildSpec,
  machine: { readonly cgroups: Cgroups | undefined; readonly countsTasks: boolean },
): ChildLimits {
  const { memoryBytes, cpu, processes } = spec.config;
  const tasks = processes + OWN_TASKS;
  const group = makeGroup(spec, machine.cgroups, {
    memoryBytes: memoryBytes + (spec.proxySocket === undefined ? 0 : OWN_MEMORY_BYTES),
    cpu,
    tasks,
  });
  const holds = (controller: "memory" | "pids" | "cpu") => group?.holds.has(controller) === true;
  return {
    inForce: {
      memory: holds("memory") ? "cgroup" : "prlimit",
      processes: holds("pids") ? "cgroup" : machine.countsTasks ? "prlimit" : "none",
      cpu: holds("cpu") ? "cgroup" : "none",
    },
    perProcess: {
      dataBytes: holds("memory") ? undefined : Math.max(memoryBytes, LEAST_DATA_BYTES),
      tasks: holds("pids") || !machine.countsTasks ? undefined : tasks,
    },
    group,
  };
}

/** A machine that has groups and cannot make this one is not limited in another way behind the owner's back. */
function makeGroup(spec: ChildSpec, cgroups: Cgroups | undefined, limits: GroupLimits): Cgroup | undefined {
  try {
    return cgroups?.create(`doorward-${process.pid}-${randomBytes(6).toString("hex")}`, limits);
  } catch (error) {
    throw sandboxProblem({
      service: spec.service,
      detail: `its limits could not be set (${error instanceof Error ? error.message : String(error)})`,
      remedy: "Correct `memory`, `cpu` and `processes` of the service, or the rights on /sys/fs/cgroup.",
    });
  }
}
