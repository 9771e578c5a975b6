import { type ChildProcess, spawn } from "node:child_process";
import { type Duplex, PassThrough, pipeline, type Readable, type Writable } from "node:stream";
import { text } from "node:stream/consumers";
import type { ChildEnd, ChildSpec, SandboxedChild, SandboxMode } from "./child-spec.ts";
import { askToEnd, endTree, type ProcessTree } from "./end-tree.ts";
import { inheritedDescriptors, nullDevice } from "./inherited-descriptors.ts";
import { ENTER_GROUPS } from "./launch-script.ts";
import type { ChildLimits } from "./limit-child.ts";
import { sandboxProblem } from "./sandbox-problem.ts";

/** A command line that becomes a child. */
export interface Launch {
  readonly service: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /**
   * What the child reads on the descriptors from 4 on. `undefined` on descriptors 5 and 6: bubblewrap writes on the one who
   * holds the child, and waits on the other until that one is in its groups. Empty for a plain child.
   */
  readonly feeds: readonly (string | Buffer | undefined)[];
  readonly mode: SandboxMode;
  readonly limits: ChildLimits;
  /** Takes away what was made for the child. Called once, also when it does not start. */
  readonly cleanUp: () => void;
  /** Marks the processes of a plain child. */
  readonly marker?: string;
  readonly standard: NonNullable<ChildSpec["standard"]>;
}

/** A sandbox is built in milliseconds; the bridge needs a Node's start on a machine under load. */
const START_MS = 15_000;
const FIRST_FEED = 4;
const INFO = 5;
const GO = 6;
/** Input, output and errors. */
const STANDARD = 3;
const STDERR_SHOWN_BYTES = 400;

/**
 * Spawns a child in its own session and process group, and waits until its program begins to run.
 *
 * @throws {Problem} `upstream_unreachable` with what was said when it ended before; nothing is left of it then.
 */
export async function launchChild(launch: Launch): Promise<SandboxedChild> {
  const child = spawnChild(launch);
  const [stdout, stderr] = [kept(child.stdout), kept(child.stderr)];
  const { group } = launch.limits;
  const leads = launch.standard === "pipes";
  const tree: ProcessTree = { pid: child.pid, leads, init: undefined, group, marker: launch.marker };
  const exited = ended(child).then(async (end) => {
    await endTree(tree);
    await group?.remove();
    launch.cleanUp();
    return end;
  });
  const started = await begun(child, tree, isBoxed(launch));
  if (!started) {
    await endTree(tree);
    const said = await saidOn(stderr);
    await exited;
    throw sandboxProblem({
      service: launch.service,
      detail: `the sandbox could not be built (${said})`,
      remedy: "Run `doorward doctor`, and look at `sandbox` and `mcp` of the service.",
    });
  }
  for (let fd = 3; fd < FIRST_FEED + launch.feeds.length; fd++) pipeOf(child, fd)?.destroy();
  const stdin = child.stdin ?? new PassThrough();
  return {
    pid: child.pid ?? 0,
    stdin,
    stdout,
    stderr,
    exited,
    stop: (graceMs) => stop({ stdin, exited, tree }, graceMs),
    limits: launch.limits.inForce,
    mode: launch.mode,
  };
}

function spawnChild(launch: Launch): ChildProcess {
  const entrances = isBoxed(launch) ? [] : (launch.limits.group?.entrances ?? []);
  const [command, args] =
    entrances.length === 0
      ? [launch.command, launch.args]
      : ["/bin/sh", ["-c", ENTER_GROUPS, "doorward", ...entrances, "--", launch.command, ...launch.args]];
  const child = spawn(command, args, {
    cwd: launch.cwd ?? "/",
    env: launch.env,
    detached: launch.standard === "pipes",
    stdio: descriptors(FIRST_FEED + launch.feeds.length, launch.standard === "pipes" ? "pipe" : "inherit"),
  });
  // A child that ends early breaks these; its end is what is reported.
  for (const stream of child.stdio) stream?.on("error", () => {});
  for (const [index, content] of launch.feeds.entries()) {
    if (content !== undefined) pipeOf(child, FIRST_FEED + index)?.end(content);
  }
  return child;
}

/**
 * Pipes on the first `piped` descriptors. What the daemon was itself started with beyond them, and what would pass on to
 * every program it starts, is covered by the null device.
 *
 * @param standard - What the first three are.
 */
function descriptors(piped: number, standard: "pipe" | "inherit"): ("pipe" | "inherit" | "ignore" | number)[] {
  const leaking = inheritedDescriptors().filter((fd) => fd >= piped);
  const all = Array.from({ length: Math.max(piped, ...leaking.map((fd) => fd + 1)) }, (_, fd) =>
    fd < STANDARD ? standard : fd < piped ? ("pipe" as const) : ("ignore" as const),
  );
  if (leaking.length === 0) return all;
  return all.map((what, fd) => (leaking.includes(fd) ? nullDevice() : what));
}

/** Node gives a socket for each pipe that is asked for; `null` when nothing was spawned. */
function pipeOf(child: ChildProcess, fd: number): Duplex | null {
  return (child.stdio as readonly (Duplex | null | undefined)[])[fd] ?? null;
}

/** Whether bubblewrap holds it. */
function isBoxed({ feeds }: Launch): boolean {
  return feeds.length > 0;
}

/** Waits for the word on descriptor 3, and for who holds the child on descriptor 5. */
async function begun(child: ChildProcess, tree: ProcessTree, boxed: boolean): Promise<boolean> {
  const deadline = setTimeout(() => void endTree(tree), START_MS);
  try {
    const holder = boxed ? firstChunk(pipeOf(child, INFO)).then((json) => admit(child, tree, json)) : undefined;
    const word = await firstChunk(pipeOf(child, 3));
    await holder;
    return word === "started\n" && (!boxed || tree.init !== undefined);
  } finally {
    clearTimeout(deadline);
  }
}

/**
 * Puts what holds the child into its groups while the sandbox is being built around it, then lets it go on.
 *
 * INVARIANT: descriptor 6 stays open until then, and the child is ended when it cannot enter: its end would let it go on.
 */
async function admit(child: ChildProcess, tree: ProcessTree, json: string): Promise<void> {
  const pid = /"child-pid": ?(\d+)/.exec(json)?.[1];
  if (pid === undefined) return;
  tree.init = Number(pid);
  try {
    await tree.group?.enter(tree.init);
    pipeOf(child, GO)?.end("\n");
  } catch {
    await endTree(tree);
  }
}

/** Not the whole: processes that outlive the launch hold the other end too. Empty when there is nothing. */
function firstChunk(stream: Duplex | null): Promise<string> {
  return new Promise((resolve) => {
    if (stream === null) return resolve("");
    stream.once("data", (chunk: Buffer) => resolve(chunk.toString("latin1")));
    stream.once("close", () => resolve(""));
  });
}

/** Node throws away what nobody reads when a child exits; whoever starts one reads a moment later. */
function kept(stream: Readable | null): Readable {
  const held = new PassThrough();
  if (stream === null) held.end();
  else pipeline(stream, held, () => {});
  return held;
}

async function saidOn(stderr: Readable): Promise<string> {
  const said = (await text(stderr).catch(() => "")).trim();
  const line = said
    .split("\n")
    .at(-1)
    ?.replaceAll(/[^\x20-\x7e]/g, "?")
    .slice(0, STDERR_SHOWN_BYTES);
  return line === undefined || line === "" ? "it ended without a word" : line;
}

/** Never rejects: a program that could not be spawned has ended too. */
function ended(child: ChildProcess): Promise<ChildEnd> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", () => {
      if (child.pid === undefined) resolve({ code: 127, signal: null });
    });
  });
}

async function stop(
  child: { readonly stdin: Writable; readonly exited: Promise<ChildEnd>; readonly tree: ProcessTree },
  graceMs: number,
): Promise<void> {
  const { stdin, exited, tree } = child;
  stdin.end();
  if (graceMs > 0) {
    // Whoever reads a pipe sees that it was closed.
    if (tree.leads && (await endsWithin(exited, graceMs / 2))) return;
    askToEnd(tree);
    if (await endsWithin(exited, graceMs / 2)) return;
  }
  await endTree(tree);
  await exited;
}

async function endsWithin(exited: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([exited.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
