import { once } from "node:events";
import { statSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { ChildSpec, LimitsInForce, Sandbox } from "./child-spec.ts";
import { seccompArch } from "./seccomp-arch.ts";
import { DENIED_CALLS } from "./seccomp-numbers.ts";

/** One way out of a sandbox that was tried. */
export interface ProbeFinding {
  readonly name: string;
  /** Whether the sandbox held. */
  readonly held: boolean;
  readonly detail: string;
}

/** What was tried, and under which limits. */
export interface ProbeReport {
  readonly findings: readonly ProbeFinding[];
  readonly limits: LimitsInForce;
}

const findingSchema = z.strictObject({ name: z.string(), held: z.boolean(), detail: z.string() });
const PROBE_PROGRAM = fileURLToPath(new URL("../../bin/sandbox-probe.cjs", import.meta.url));
const MEMORY_BYTES = 256 * 1024 * 1024;
/** What holds memory where no group does: the least that a process can be limited to. */
const LEAST_PROCESS_BYTES = 1024 * 1024 * 1024;
const PROCESSES = 24;
/** More than the sandbox may have, with the threads of the probe itself. */
const PROCESSES_TRIED = 96;
const PROBE_MS = 60_000;
/** Fewer would mean that the probe was cut off. */
const LEAST_FINDINGS = 15;

/**
 * Starts a program in a sandbox like any server's and has it try to get out: by files, processes, network, system calls,
 * and beyond its limits.
 *
 * @returns Every try, and whether the sandbox held.
 * @throws {Problem} `upstream_unreachable` when the sandbox cannot be built.
 */
export async function probeSandbox(deps: {
  readonly sandbox: Sandbox;
  /** Doorward's home and the person's: neither may be seen. */
  readonly home: string;
  readonly userHome: string;
}): Promise<ProbeReport> {
  const abstract = `doorward-probe-${process.pid}-${process.hrtime.bigint()}`;
  await using listener = await listen({ host: "127.0.0.1", port: 0 });
  await using local = await listen({ path: `\0${abstract}` });
  void local;
  const holdsMemory = await limitsOf(deps.sandbox);
  const facts = {
    home: deps.home,
    userHome: deps.userHome,
    port: (listener.server.address() as AddressInfo).port,
    abstract,
    pid: process.pid,
    calls: nativeCalls(),
    memoryBytes: holdsMemory.memory === "cgroup" ? MEMORY_BYTES : LEAST_PROCESS_BYTES,
    touch: holdsMemory.memory === "cgroup",
    processes: PROCESSES_TRIED,
    deviceInodes: Object.fromEntries(["/dev/null", "/dev/urandom"].map((path) => [path, statSync(path).ino])),
  };
  const args = [PROBE_PROGRAM, JSON.stringify(facts)];
  const child = await deps.sandbox.start({ ...probeSpec("node", 2), args, programFiles: [PROBE_PROGRAM] });
  const deadline = setTimeout(() => void child.stop(0), PROBE_MS);
  const [printed] = await Promise.all([text(child.stdout), text(child.stderr), child.exited]);
  clearTimeout(deadline);
  return { findings: parseFindings(printed), limits: child.limits };
}

/** A short life tells which limits are in force, and so how much memory must be tried. */
async function limitsOf(sandbox: Sandbox): Promise<LimitsInForce> {
  const child = await sandbox.start(probeSpec("/bin/true", 1));
  await child.exited;
  return child.limits;
}

/** A child to which nothing is open. */
function probeSpec(command: string, cpu: number): ChildSpec {
  const open = { network: [], read: [], write: [] };
  return {
    service: "doctor",
    command,
    args: [],
    cwd: undefined,
    env: new Map(),
    config: { mode: "strict", ...open, cpu, memoryBytes: MEMORY_BYTES, processes: PROCESSES },
    programFiles: [],
    files: [],
    proxySocket: undefined,
  };
}

function parseFindings(printed: string): readonly ProbeFinding[] {
  const findings = printed
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => findingSchema.parse(JSON.parse(line)));
  if (findings.length >= LEAST_FINDINGS) return findings;
  return [...findings, { name: "probe", held: false, detail: "it ended before it had tried everything" }];
}

function nativeCalls(): Record<string, number> {
  const at = seccompArch(process.arch) === "arm64" ? 1 : 0;
  return Object.fromEntries(
    Object.entries(DENIED_CALLS).flatMap(([name, numbers]) => (numbers[at] === undefined ? [] : [[name, numbers[at]]])),
  );
}

async function listen(at: { host: string; port: number } | { path: string }) {
  const server: Server = createServer((socket) => socket.destroy()).listen(at);
  await once(server, "listening");
  return {
    server,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}
