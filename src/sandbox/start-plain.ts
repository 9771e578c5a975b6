import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "./child-environment.ts";
import type { ChildSpec, SandboxedChild } from "./child-spec.ts";
import { MARKER } from "./end-tree.ts";
import { launchChild } from "./launch-child.ts";
import { launchScript } from "./launch-script.ts";
import { limitChild } from "./limit-child.ts";
import { openProxyPort } from "./open-proxy-port.ts";
import { sandboxProblem } from "./sandbox-problem.ts";
import type { SandboxHost } from "./start-in-bubblewrap.ts";

/** Ends the child with the daemon, and forbids it to gain rights; where util-linux is there. */
const SETPRIV = "/usr/bin/setpriv";

/**
 * Starts a child without namespaces: a clean environment, its own process group, limits. It sees the host's files and
 * network as the daemon's user does, so that whoever starts it must say so.
 *
 * Contract of {@link Sandbox.start}.
 */
export async function startPlain(
  spec: ChildSpec,
  host: SandboxHost & { readonly path: string; readonly mode: "degraded" | "off" },
): Promise<SandboxedChild> {
  if (spec.files.length > 0)
    throw sandboxProblem({
      service: spec.service,
      detail: "a file that holds a placeholder can be made in a sandbox only",
      remedy: "Install bubblewrap and say `sandbox: { mode: strict }`, or leave `credential.file` out.",
    });
  const marker = randomBytes(16).toString("hex");
  const scratch = mkdtempSync(join(tmpdir(), "doorward-child-"));
  const port = spec.proxySocket === undefined ? undefined : await openProxyPort(spec.proxySocket);
  const cleanUp = () => {
    port?.close();
    rmSync(scratch, { recursive: true, force: true });
  };
  try {
    return await launchChild(await launchOf({ spec, host, marker, scratch, proxyUrl: port?.url, cleanUp }));
  } catch (error) {
    cleanUp();
    throw error;
  }
}

async function launchOf(made: {
  readonly spec: ChildSpec;
  readonly host: SandboxHost & { readonly path: string; readonly mode: "degraded" | "off" };
  readonly marker: string;
  readonly scratch: string;
  readonly proxyUrl: string | undefined;
  readonly cleanUp: () => void;
}) {
  const { spec, host, marker, scratch, proxyUrl, cleanUp } = made;
  const caFile = spec.proxyCaPem === undefined ? undefined : join(scratch, "ca.pem");
  if (caFile !== undefined) writeFileSync(caFile, spec.proxyCaPem ?? "", { mode: 0o600 });
  const proxy = proxyUrl === undefined ? undefined : { url: proxyUrl, caFile };
  const env = childEnvironment({ path: host.path, scratch }, spec.env, proxy);
  const limits = limitChild(spec, { cgroups: host.cgroups, countsTasks: false });
  const script = launchScript({ ...limits.perProcess, bridge: "none" });
  const shell = ["/bin/sh", "-c", script, "doorward", spec.command, ...spec.args];
  const [command = "", ...args] = existsSync(SETPRIV)
    ? [SETPRIV, "--pdeathsig", "KILL", "--no-new-privs", "--", ...shell]
    : shell;
  return {
    service: spec.service,
    command,
    args,
    env: { ...Object.fromEntries(env), [MARKER]: marker },
    cwd: spec.cwd ?? scratch,
    feeds: [],
    mode: host.mode,
    limits,
    cleanUp,
    marker,
    standard: spec.standard ?? "pipes",
  };
}
