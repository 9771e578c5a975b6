import type { Readable, Writable } from "node:stream";
import type { SandboxConfig } from "../config/schema.ts";

/** One program that shall run in a sandbox, with all that it may have. Nothing else of the host reaches it. */
export interface ChildSpec {
  /** Whose program it is: named in problems. */
  readonly service: string;
  /** An absolute path, or a name that is looked up in the sandbox (`node` is there). */
  readonly command: string;
  readonly args: readonly string[];
  /** Must lie in something that is readable inside; `/tmp` when absent. */
  readonly cwd: string | undefined;
  /** All that the child may have, without what the sandbox sets itself (PATH, HOME, the proxy and its CA). */
  readonly env: ReadonlyMap<string, string>;
  readonly config: SandboxConfig;
  /** Files and folders of the program: readable inside, at the same path. */
  readonly programFiles: readonly string[];
  /** Folders that the servers of other services may write: no link in one leads out of it. */
  readonly writableByOthers?: readonly string[];
  /** Files that exist inside only, read-only. Not to be had without bubblewrap. */
  readonly files: readonly InjectedFile[];
  /** Unix socket of the egress proxy: the only way out. Absent: there is no way out. */
  readonly proxySocket: string | undefined;
  /** PEM of the authority whose leaves the egress proxy shows. */
  readonly proxyCaPem?: string | undefined;
  /**
   * `terminal`: it has this process's own standard input and outputs, its process group and its terminal, whose signals reach
   * it. Absent: pipes, and a session of its own.
   */
  readonly standard?: "pipes" | "terminal";
}

/** A file that is made inside the sandbox. */
export interface InjectedFile {
  /** Absolute. */
  readonly path: string;
  readonly content: string;
  /** Permission bits; 0o444 when absent. */
  readonly mode?: number;
}

/** Where a limit comes from. `prlimit` holds for each process alone, and memory then at 1 GiB or more. */
export type LimitSource = "cgroup" | "prlimit" | "none";

/** Which limits are in force. */
export interface LimitsInForce {
  readonly memory: LimitSource;
  readonly processes: LimitSource;
  readonly cpu: "cgroup" | "none";
}

/** How a child is held: `degraded` and `off` must be said aloud by whoever starts one. */
export type SandboxMode = SandboxConfig["mode"];

/** How a child ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A running child, and the whole of what it starts. */
export interface SandboxedChild {
  /** Of the process that holds the child, on the host. */
  readonly pid: number;
  /** These three are empty where it has a terminal. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles when no process of the child is left and its traces are gone. Never rejects. */
  readonly exited: Promise<ChildEnd>;
  /** Closes stdin, asks it to end, and after `graceMs` ends every process of it. Never rejects. */
  stop(graceMs: number): Promise<void>;
  readonly limits: LimitsInForce;
  /** What is in force: `strict` or, where the file allows it, less. */
  readonly mode: SandboxMode;
}

/** Starts programs in a sandbox. */
export interface Sandbox {
  /**
   * Starts a child; settles when its program begins to run.
   *
   * @throws {Problem} `upstream_unreachable` when the sandbox cannot be built as the file asks, with the remedy.
   */
  start(spec: ChildSpec): Promise<SandboxedChild>;
}
