import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Cgroup } from "./cgroups.ts";

/** All processes of one child, as far as they can be named. */
export interface ProcessTree {
  readonly pid: number | undefined;
  /** Whether that process leads a session and a process group of its own. */
  readonly leads: boolean;
  /** Process 1 of the sandbox, on the host: with it, all the others end. */
  init: number | undefined;
  readonly group: Cgroup | undefined;
  /** Value of {@link MARKER} in the environment of a plain child's processes. */
  readonly marker: string | undefined;
}

/** Variable by which the processes of a child without namespaces are found again, also after they left its session. */
export const MARKER = "DOORWARD_CHILD";

const GONE_TRIES = 200;
const GONE_PAUSE_MS = 5;

/** Asks the program to end: in a sandbox, the children of its process 1; else its process group, where it has its own. */
export function askToEnd({ pid, init, leads }: ProcessTree): void {
  const plain = pid === undefined ? [] : [leads ? -pid : pid];
  const asked = init === undefined ? plain : childrenOf(init);
  for (const one of asked) signal(one, "SIGTERM");
}

/**
 * Ends every process of a child, and waits until the kernel has let go of them. Does nothing more when they are gone.
 *
 * In a sandbox the end of process 1 is the end of all: nothing can leave its namespace. A plain child's processes are found
 * by group, process group and marker, again and again while they fork.
 */
export async function endTree(tree: ProcessTree): Promise<void> {
  for (let tries = 0; tries < GONE_TRIES; tries++) {
    if (tries > 0) await delay(GONE_PAUSE_MS);
    if (tree.init !== undefined) signal(tree.init, "SIGKILL");
    else if (tree.pid !== undefined) signal(tree.leads ? -tree.pid : tree.pid, "SIGKILL");
    endGroup(tree.group);
    const marked = tree.marker === undefined ? [] : markedProcesses(tree.marker);
    for (const pid of marked) signal(pid, "SIGKILL");
    if (marked.length === 0 && !lives(tree.init ?? tree.pid)) return;
  }
}

function endGroup(group: Cgroup | undefined): void {
  try {
    group?.kill();
  } catch {
    // It was removed already.
  }
}

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

/** Whether a process runs. One that waits for its parent to look at it has ended. */
export function lives(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function markedProcesses(marker: string): readonly number[] {
  const wanted = `${MARKER}=${marker}\0`;
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => environmentHas(pid, wanted));
  } catch {
    return [];
  }
}

function environmentHas(pid: number, wanted: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").includes(wanted);
  } catch {
    return false;
  }
}
