import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { bwrapArguments, type SandboxPlan } from "./bwrap-arguments.ts";
import type { Cgroups } from "./cgroups.ts";
import { childEnvironment, INSIDE_PATH } from "./child-environment.ts";
import type { ChildSpec, SandboxedChild } from "./child-spec.ts";
import type { Bubblewrap } from "./detect-bubblewrap.ts";
import { launchChild } from "./launch-child.ts";
import { IGNORE_SIGNALS, type LaunchSteps, launchScript } from "./launch-script.ts";
import { limitChild } from "./limit-child.ts";
import { BRIDGE_PORT, INSIDE } from "./places.ts";
import {
  type AskedMounts,
  type ClosedPlaces,
  type Mount,
  resolveMounts,
  resolveProgramMounts,
  within,
} from "./resolve-mounts.ts";
import { sandboxProblem } from "./sandbox-problem.ts";
import { seccompArch } from "./seccomp-arch.ts";
import { seccompProgram } from "./seccomp-program.ts";

const BRIDGES = { perl: "sandbox-bridge.pl", node: "sandbox-bridge.cjs" } as const;

/** Whether a running Node can be told of a proxy (24.14); the one inside is the one that runs this. */
const CAN_BE_TOLD = "setGlobalProxyFromEnv" in http;

/** What every start needs of the host. */
export interface SandboxHost {
  readonly closed: ClosedPlaces;
  /** The Node that runs the bridge, and servers written for it. */
  readonly node: string;
  readonly arch: NodeJS.Architecture;
  readonly cgroups: Cgroups | undefined;
  /** Device files to use instead of the host's. */
  readonly devices: () => readonly Mount[];
}

/** Descriptors of the process that becomes bubblewrap, after the three of the standard. */
const FD = { ready: 3, args: 4, info: 5, go: 6, seccomp: 7, firstFile: 8 } as const;

/** Starts a child in namespaces of its own. Contract of {@link Sandbox.start}. */
export async function startInBubblewrap(
  spec: ChildSpec,
  host: SandboxHost & { readonly bubblewrap: Bubblewrap },
): Promise<SandboxedChild> {
  const arch = seccompArch(host.arch);
  if (arch === undefined) throw new TypeError(`no filter for ${host.arch}`);
  const bridge = spec.proxySocket === undefined ? "none" : runsNode(spec, host.node) ? "beside" : "before";
  const { args, contents } = bwrapArguments(planOf(spec, host, bridge), FD);
  const limits = limitChild(spec, { cgroups: host.cgroups, countsTasks: process.getuid?.() !== 0 });
  const options = bridge === "beside" ? ["--require", INSIDE.wait] : [];
  const { standard = "pipes" } = spec;
  const guarded = standard === "terminal" && canResetSignals();
  const script = launchScript({
    ...limits.perProcess,
    bridge,
    runner: runnerOf(host),
    ...(guarded ? { signals: "default" } : {}),
  });
  const boxed = [host.bubblewrap.path, "--args", String(FD.args), "--", "/bin/sh", "-c", script, "doorward"];
  const [command = "", ...words] = guarded ? ["/bin/sh", "-c", IGNORE_SIGNALS, "doorward", ...boxed] : boxed;
  return launchChild({
    service: spec.service,
    command,
    args: [...words, spec.command, ...options, ...spec.args],
    env: {},
    feeds: [args.map((arg) => `${arg}\0`).join(""), undefined, undefined, seccompProgram(arch), ...contents],
    mode: "strict",
    limits,
    cleanUp: () => {},
    standard,
  });
}

/** What ignores a signal can pass that on only; it takes a program to undo it (coreutils 8.31). */
function canResetSignals(): boolean {
  return spawnSync("/usr/bin/env", ["--default-signal=INT,QUIT", "true"], { stdio: "ignore", env: {} }).status === 0;
}

function runnerOf({ bubblewrap }: { readonly bubblewrap: Bubblewrap }): "perl" | "node" {
  return bubblewrap.perl ? "perl" : "node";
}

/** Whether the program is the Node that can be made to wait for the bridge: then the two start side by side. */
function runsNode(spec: ChildSpec, node: string): boolean {
  return spec.command === "node" || spec.command === INSIDE.node || spec.command === node;
}

/** Resolves all that the host is asked for, or says what cannot be had. */
function planOf(
  spec: ChildSpec,
  host: SandboxHost & { readonly bubblewrap: Bubblewrap },
  bridge: LaunchSteps["bridge"],
): SandboxPlan {
  const { read, write } = spec.config;
  const places = { read, write, others: spec.writableByOthers, ...host.closed };
  const declared = resolveMounts(places);
  if ("fault" in declared) throw sandboxProblem({ service: spec.service, ...declared.fault });
  const mounts = [...programMounts(spec, places), ...declared.mounts, ...ownMounts(spec, host)];
  const cwd = spec.cwd ?? INSIDE.scratch;
  if (cwd !== INSIDE.scratch && !mounts.some(({ at }) => within(at, cwd)))
    throw sandboxProblem({
      service: spec.service,
      detail: `its working folder \`${cwd}\` is not open to it`,
      remedy: "Name the folder in `sandbox.read` of the service, or leave `cwd` out.",
    });
  const ca = spec.proxyCaPem === undefined ? [] : [{ path: INSIDE.proxyCa, content: spec.proxyCaPem }];
  const named = bridge === "beside" && CAN_BE_TOLD ? ("itself" as const) : undefined;
  const proxy = { url: `http://127.0.0.1:${BRIDGE_PORT}`, caFile: ca[0]?.path, named };
  return {
    root: host.bubblewrap.root,
    mounts,
    proxySocket: spec.proxySocket,
    files: [...ca, ...spec.files],
    env: childEnvironment(
      { path: INSIDE_PATH, scratch: INSIDE.scratch },
      spec.env,
      spec.proxySocket === undefined ? undefined : proxy,
    ),
    cwd,
    session: spec.standard === "terminal" ? "kept" : "new",
  };
}

/** What the root holds already needs no mount, and would cover nothing. */
function programMounts(spec: ChildSpec, places: AskedMounts): readonly Mount[] {
  const gone = spec.programFiles.find((at) => !existsSync(at));
  if (gone !== undefined)
    throw sandboxProblem({
      service: spec.service,
      detail: `its program file \`${gone}\` does not exist`,
      remedy: "Install it again, or correct `command` and `args` of the service.",
    });
  const found = resolveProgramMounts(spec.programFiles, places);
  if ("fault" in found) throw sandboxProblem({ service: spec.service, ...found.fault });
  return found.mounts.filter(({ at }) => !within("/usr", at));
}

function ownMounts(spec: ChildSpec, host: SandboxHost & { readonly bubblewrap: Bubblewrap }): readonly Mount[] {
  const node: Mount = { source: realpathSync(host.node), at: INSIDE.node, access: "read" };
  if (spec.proxySocket === undefined) return [node, ...host.devices()];
  const bridge = ownProgram(BRIDGES[runnerOf(host)], INSIDE.bridge);
  return [node, bridge, ownProgram("sandbox-wait.cjs", INSIDE.wait), ...host.devices()];
}

/** A program of Doorward that runs inside; as a file, so that no content is on a command line. */
function ownProgram(name: string, at: string): Mount {
  return { source: fileURLToPath(new URL(`../../bin/${name}`, import.meta.url)), at, access: "read" };
}
