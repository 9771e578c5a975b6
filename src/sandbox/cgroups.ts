import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** What a group of processes may use together. */
export interface GroupLimits {
  readonly memoryBytes: number;
  /** In cores. */
  readonly cpu: number;
  /** Processes and threads. */
  readonly tasks: number;
}

type Controller = "memory" | "pids" | "cpu";

/** A group that was made for one child. */
export interface Cgroup {
  /** Files to which the child writes `0` to enter. */
  readonly entrances: readonly string[];
  readonly holds: ReadonlySet<Controller>;
  /**
   * Puts a process in; what it starts from then on is in it too. The kernel takes its time for the first one (a grace period
   * of RCU), without working.
   */
  enter(pid: number): Promise<void>;
  /** Ends every process in it. */
  kill(): void;
  /** Removes it, once it is empty. */
  remove(): Promise<void>;
}

/** Makes groups. */
export interface Cgroups {
  readonly holds: ReadonlySet<Controller>;
  create(name: string, limits: GroupLimits): Cgroup;
}

const CONTROLLERS: readonly Controller[] = ["memory", "pids", "cpu"];
const CPU_PERIOD_US = 100_000;
/** An emptied group can be removed only when the kernel has let go of its last process. */
const REMOVE_TRIES = 50;
const REMOVE_PAUSE_MS = 10;

/**
 * Finds where groups may be made: in the group of version 2 that was delegated to this process, or, on version 1, in
 * those hierarchies in whose root this process is.
 *
 * Version 1 knows no delegation: a group below the root was made by somebody for this process, and dividing it is not ours.
 *
 * @param at.mount - `/sys/fs/cgroup`.
 * @param at.own - The text of `/proc/self/cgroup`.
 * @returns `undefined` when there is none. Never throws.
 */
export function findCgroups(at: {
  readonly mount: string;
  readonly own: string;
  readonly pid: number;
}): Cgroups | undefined {
  const lines = at.own
    .trim()
    .split("\n")
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  const unified = lines.find((line) => line?.[1] === "")?.[2];
  if (unified !== undefined && existsSync(join(at.mount, "cgroup.controllers"))) {
    const parent = delegated(join(at.mount, unified), at.pid);
    if (parent !== undefined) return versionTwo(parent);
  }
  const parents = new Map<Controller, string>();
  for (const line of lines) {
    if (line?.[2] !== "/") continue;
    for (const controller of CONTROLLERS.filter((name) => line[1]?.split(",").includes(name))) {
      const folder = [join(at.mount, line[1] ?? ""), join(at.mount, controller)].find((path) => writable(path));
      if (folder !== undefined) parents.set(controller, folder);
    }
  }
  return parents.size === 0 ? undefined : versionOne(parents);
}

/** A group of version 2 in which children can be made with limits; enables the controllers where that is missing. */
function delegated(folder: string, pid: number): string | undefined {
  try {
    if (!writable(folder)) return undefined;
    const offered = words(join(folder, "cgroup.controllers"));
    if (!offered.includes("memory") || !offered.includes("pids")) return undefined;
    const wanted = CONTROLLERS.filter((name) => offered.includes(name));
    const enabled = words(join(folder, "cgroup.subtree_control"));
    if (wanted.every((name) => enabled.includes(name))) return folder;
    // A group with processes of its own cannot give controllers to its children: ours moves into a leaf.
    const inside = words(join(folder, "cgroup.procs"));
    if (inside.some((other) => other !== String(pid))) return undefined;
    const leaf = join(folder, "doorward-daemon");
    mkdirSync(leaf, { recursive: true });
    writeFileSync(join(leaf, "cgroup.procs"), String(pid));
    writeFileSync(join(folder, "cgroup.subtree_control"), wanted.map((name) => `+${name}`).join(" "));
    return folder;
  } catch {
    return undefined;
  }
}

/** Takes away the empty groups of daemons that were killed. One that is not empty stays: the kernel refuses. */
function removeStale(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = /^doorward-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removed(join(parent, name));
  }
}

function versionTwo(parent: string): Cgroups {
  removeStale(parent);
  const enabled = words(join(parent, "cgroup.subtree_control"));
  const holds = new Set(CONTROLLERS.filter((name) => enabled.includes(name)));
  return {
    holds,
    create(name, limits) {
      const folder = join(parent, name);
      mkdirSync(folder);
      const set = (file: string, value: string) => writeFileSync(join(folder, file), value);
      set("memory.max", String(limits.memoryBytes));
      if (existsSync(join(folder, "memory.swap.max"))) set("memory.swap.max", "0");
      set("pids.max", String(limits.tasks));
      if (holds.has("cpu")) set("cpu.max", `${cpuQuotaUs(limits)} ${CPU_PERIOD_US}`);
      return group([folder], holds);
    },
  };
}

function versionOne(parents: ReadonlyMap<Controller, string>): Cgroups {
  for (const parent of parents.values()) removeStale(parent);
  const holds = new Set(parents.keys());
  return {
    holds,
    create(name, limits) {
      const folders = new Map([...parents].map(([controller, parent]) => [controller, join(parent, name)]));
      for (const folder of new Set(folders.values())) mkdirSync(folder);
      const set = (controller: Controller, file: string, value: number) => {
        const folder = folders.get(controller);
        if (folder !== undefined) writeFileSync(join(folder, file), String(value));
      };
      set("memory", "memory.limit_in_bytes", limits.memoryBytes);
      set("pids", "pids.max", limits.tasks);
      set("cpu", "cpu.cfs_period_us", CPU_PERIOD_US);
      set("cpu", "cpu.cfs_quota_us", cpuQuotaUs(limits));
      return group([...new Set(folders.values())], holds);
    },
  };
}

function group(folders: readonly string[], holds: ReadonlySet<Controller>): Cgroup {
  const kill = () => {
    for (const folder of folders) {
      for (const pid of words(join(folder, "cgroup.procs"))) endProcess(Number(pid));
    }
  };
  return {
    entrances: folders.map((folder) => join(folder, "cgroup.procs")),
    holds,
    async enter(pid) {
      for (const folder of folders) await writeFile(join(folder, "cgroup.procs"), String(pid));
    },
    kill() {
      const [folder = ""] = folders;
      if (!existsSync(join(folder, "cgroup.kill"))) return kill();
      writeFileSync(join(folder, "cgroup.kill"), "1");
    },
    async remove() {
      let left = [...folders];
      for (let tried = 0; left.length > 0 && tried < REMOVE_TRIES; tried++) {
        if (tried > 0) {
          kill();
          await delay(REMOVE_PAUSE_MS);
        }
        left = left.filter((folder) => !removed(folder));
      }
    },
  };
}

function removed(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return !existsSync(folder);
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

function cpuQuotaUs({ cpu }: GroupLimits): number {
  return Math.max(1_000, Math.round(cpu * CPU_PERIOD_US));
}

function words(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8")
      .split(/\s+/)
      .filter((word) => word !== "");
  } catch {
    return [];
  }
}

function writable(folder: string): boolean {
  try {
    accessSync(join(folder, "cgroup.procs"), constants.W_OK);
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
