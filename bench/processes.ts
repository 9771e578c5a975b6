import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** Names of the disks' interrupts: virtio, NVMe, SATA, Xen. */
const DISKS = /virtio\d+-req|nvme\d+q|ahci|blkif/;

/**
 * Servers under test have one of the first two cores for themselves: the one to which the disk's interrupts come, so that a
 * server pays for its own, and not the loader. What loads them and what they call share the other.
 */
export const SERVER_CORE = diskCore();
export const LOAD_CORE = 1 - SERVER_CORE;

/** How long a program may take to say that it is ready. */
const READY_MS = 20_000;
/** How long it may take to end after SIGTERM, before it is killed. */
const STOP_MS = 10_000;
/** What `utime` and `stime` of /proc count in: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_US = 10_000;

/** Whether programs can be pinned to cores here. */
export const canPin = cpus().length > 1 && spawnSync("taskset", ["-c", "0", "true"]).status === 0;

export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** What the program said it listens on; empty when it was not asked. */
  readonly url: string;
}

export interface ProgramOptions {
  readonly core?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** The first group is the address it listens on; looked for on stdout and stderr. */
  readonly ready: RegExp;
}

/** @returns 0 where nothing tells. @see proc_interrupts(5) */
function diskCore(): number {
  const interrupts = [0, 0];
  for (const line of readTable("/proc/interrupts").filter((row) => DISKS.test(row))) {
    const [, first, second] = line.trim().split(/\s+/);
    interrupts[0]! += Number(first);
    interrupts[1]! += Number(second) || 0;
  }
  return interrupts[1]! > interrupts[0]! ? 1 : 0;
}

function readTable(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a server and waits until it says where it listens. Disposing stops it, and only it. */
export async function startProgram(words: readonly string[], options: ProgramOptions): Promise<Program> {
  const child = spawnPinned(words, options);
  let said = "";
  const url = await new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${words.join(" ")} is not ready:\n${said}`)), READY_MS);
    const hear = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-8_192);
      const [, found] = options.ready.exec(said) ?? [];
      if (found !== undefined) resolve(found);
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("exit", (code) => reject(new Error(`${words.join(" ")} ended with ${code}:\n${said}`)));
    late.unref();
  });
  return asProgram(child, url);
}

/** Starts a server that says nothing, and waits until its port answers. */
export async function startSilent(words: readonly string[], port: number, core: number): Promise<Program> {
  const child = spawnPinned(words, { core });
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const deadline = Date.now() + READY_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${words.join(" ")} is not ready:\n${said}`);
    await sleep(20);
  }
  return asProgram(child, `http://127.0.0.1:${port}`);
}

/** Starts a program on one core, where that can be done. It is killed when this process ends. */
export function spawnPinned(words: readonly string[], options: Partial<Omit<ProgramOptions, "ready">>): ChildProcess {
  const pin = options.core !== undefined && canPin ? ["taskset", "-c", String(options.core)] : [];
  const [command, ...args] = [...pin, ...words];
  const child = spawn(command!, args, { stdio: ["pipe", "pipe", "pipe"], env: options.env ?? process.env });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Runs a program to its end. @returns Its stdout. @throws When its status is not 0. */
export async function runProgram(
  words: readonly string[],
  options: { readonly core?: number; readonly env?: NodeJS.ProcessEnv; readonly stdin?: string } = {},
): Promise<string> {
  const child = spawnPinned(words, options);
  let out = "";
  let talk = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    talk += chunk.toString();
  });
  child.stdin?.end(options.stdin ?? "");
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}:\n${talk}`);
  return out;
}

/** Processor time that a process has used since it started, all threads, user and system, in µs. */
export function processorUs(pid: number): number {
  const fields = procStat(pid);
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** Memory of a process in MB: what it holds now (`VmRSS`) or the most it ever held (`VmHWM`). */
export function memoryMb(pid: number, field: "VmRSS" | "VmHWM"): number {
  const [, kib = "0"] = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return (Number(kib) * 1_024) / 1e6;
}

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function procStat(pid: number): readonly string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

function asProgram(child: ChildProcess, url: string): Program {
  return {
    pid: child.pid!,
    url,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      child.kill("SIGTERM");
      await ended;
      clearTimeout(late);
    },
  };
}
