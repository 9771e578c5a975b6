import { execFile } from "node:child_process";
import { existsSync, lstatSync, readFileSync, readlinkSync } from "node:fs";
import { promisify } from "node:util";
import type { HostRoot } from "./bwrap-arguments.ts";
import { PERL } from "./places.ts";
import { seccompArch } from "./seccomp-arch.ts";

/** A bubblewrap that works here, and what the host's root looks like. */
export interface Bubblewrap {
  readonly path: string;
  readonly version: string;
  readonly root: HostRoot;
  /** Whether the system's perl runs: the bridge for it starts sooner. */
  readonly perl: boolean;
}

export type Detection =
  | { readonly ok: true; readonly bubblewrap: Bubblewrap }
  | { readonly ok: false; readonly detail: string; readonly remedy: string };

/** What is asked of the machine; for tests. */
export interface MachineFacts {
  readonly platform: NodeJS.Platform;
  readonly arch: NodeJS.Architecture;
  /** Folders that are searched for `bwrap`. */
  readonly folders: readonly string[];
}

/** Options that are used; the youngest came with 0.7. */
const OPTIONS = [
  "--args",
  "--block-fd",
  "--cap-drop",
  "--die-with-parent",
  "--file",
  "--info-fd",
  "--new-session",
].concat(["--perms", "--remount-ro", "--ro-bind-data", "--seccomp", "--size", "--unshare-user"]);
/** A sandbox is built in milliseconds; a machine that needs longer than this has another problem. */
const TRIAL_MS = 5_000;
const ROOT_ENTRIES = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
const SETTINGS = ["/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/tls/certs"].concat([
  "/etc/pki/ca-trust/extracted/pem",
  "/etc/ld.so.cache",
  "/etc/alternatives",
  "/etc/localtime",
]);
const MASKS = ["/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sched_debug", "/proc/kmsg"];

const run = promisify(execFile);

/**
 * Finds bubblewrap and tries it: options alone do not tell whether the kernel, AppArmor or a container lets it work.
 *
 * @returns What stands in the way, in words, with the remedy. Never throws.
 */
export async function detectBubblewrap(facts: MachineFacts): Promise<Detection> {
  if (facts.platform !== "linux") return notLinux(facts.platform);
  if (seccompArch(facts.arch) === undefined)
    return {
      ok: false,
      detail: `there is no filter of system calls for the architecture \`${facts.arch}\``,
      remedy: "Run Doorward on x64 or arm64, or say `sandbox: { mode: degraded }` for this service.",
    };
  const path = facts.folders.map((folder) => `${folder}/bwrap`).find((candidate) => existsSync(candidate));
  if (path === undefined) return notInstalled();
  try {
    const { stdout } = await run(path, ["--help"], { env: {}, timeout: TRIAL_MS });
    const lacking = OPTIONS.filter((option) => !stdout.includes(`${option} `));
    if (lacking.length > 0) return tooOld(lacking);
    const { stdout: version } = await run(path, ["--version"], { env: {}, timeout: TRIAL_MS });
    await run(path, [...TRIAL], { env: {}, timeout: TRIAL_MS });
    const perl = await run(PERL, ["-f", "-e", "1"], { env: {}, timeout: TRIAL_MS }).then(
      () => true,
      () => false,
    );
    const bubblewrap = { path, version: version.trim().replace(/^bubblewrap /, ""), root: hostRoot(), perl };
    return { ok: true, bubblewrap };
  } catch (error) {
    return doesNotWork(error);
  }
}

const TRIAL = ["--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"].concat([
  "--ro-bind",
  "/",
  "/",
  "--proc",
  "/proc",
  "--dev",
  "/dev",
  "--",
  "/bin/sh",
  "-c",
  "exit 0",
]);

function hostRoot(): HostRoot {
  return {
    entries: [{ path: "/usr", linkTo: undefined }, ...ROOT_ENTRIES.flatMap((path) => rootEntry(path) ?? [])],
    settings: SETTINGS.filter((path) => existsSync(path)),
    masks: MASKS.filter((path) => existsSync(path)),
  };
}

function rootEntry(path: string): HostRoot["entries"][number] | undefined {
  const kind = lstatSync(path, { throwIfNoEntry: false });
  if (kind?.isSymbolicLink()) return { path, linkTo: readlinkSync(path) };
  return kind?.isDirectory() ? { path, linkTo: undefined } : undefined;
}

function notLinux(platform: string): Detection {
  return {
    ok: false,
    detail: `the sandbox needs Linux, and this is \`${platform}\``,
    remedy:
      "Run Doorward in a Linux container or VM, or say `sandbox: { mode: off }` for this service and trust its code.",
  };
}

function notInstalled(): Detection {
  return {
    ok: false,
    detail: "bubblewrap is not installed",
    remedy: "Install it: `apt install bubblewrap`, `dnf install bubblewrap` or `apk add bubblewrap`.",
  };
}

function tooOld(lacking: readonly string[]): Detection {
  return {
    ok: false,
    detail: `bubblewrap is too old: it lacks ${lacking.map((option) => `\`${option}\``).join(", ")}`,
    remedy: "Install bubblewrap 0.7 or newer.",
  };
}

function doesNotWork(error: unknown): Detection {
  const said = (error as { stderr?: string }).stderr?.trim().split("\n").at(-1);
  const why = said === undefined || said === "" ? String((error as Error).message).split("\n")[0] : said;
  return { ok: false, detail: `bubblewrap does not work here: ${why}`, remedy: remedyOf() };
}

/** Why a kernel refuses user namespaces, as far as it tells. */
function remedyOf(): string {
  if (existsSync("/.dockerenv") || existsSync("/run/.containerenv"))
    return "The container forbids user namespaces: allow them (for Docker `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`), or let the container be the sandbox with `sandbox: { mode: degraded }`.";
  if (setting("kernel/apparmor_restrict_unprivileged_userns") === "1")
    return "AppArmor restricts user namespaces: install a profile for bwrap (`apt install apparmor-profiles`, then load `bwrap-userns-restrict`), or run `sysctl kernel.apparmor_restrict_unprivileged_userns=0`.";
  if (setting("kernel/unprivileged_userns_clone") === "0")
    return "User namespaces are off: run `sysctl kernel.unprivileged_userns_clone=1`.";
  if (setting("user/max_user_namespaces") === "0")
    return "User namespaces are off: run `sysctl user.max_user_namespaces=15000`.";
  return "Allow unprivileged user namespaces, or say `sandbox: { mode: degraded }` for this service.";
}

function setting(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
