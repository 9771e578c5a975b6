import type { InjectedFile } from "./child-spec.ts";
import { INSIDE, NOBODY_ID, SCRATCH_BYTES } from "./places.ts";
import type { Mount } from "./resolve-mounts.ts";

/** What the host has of a system's root, found once. */
export interface HostRoot {
  /** `/usr` and what stands beside it: a link to it, or a folder of its own. */
  readonly entries: readonly { readonly path: string; readonly linkTo: string | undefined }[];
  /** Files of `/etc` that programs need and that hold no secret; those that exist. */
  readonly settings: readonly string[];
  /** Files of `/proc` that tell about the host; those that exist. */
  readonly masks: readonly string[];
}

/** Everything that a sandbox is made of, resolved: no path in it is looked at again. */
export interface SandboxPlan {
  readonly root: HostRoot;
  /** Program files, declared paths, Doorward's own programs. */
  readonly mounts: readonly Mount[];
  /** On the host. */
  readonly proxySocket: string | undefined;
  readonly files: readonly InjectedFile[];
  readonly env: ReadonlyMap<string, string>;
  readonly cwd: string;
  /** `kept`: the program has the terminal of whoever starts it. */
  readonly session: "new" | "kept";
}

/** Descriptors that bubblewrap is given. */
export interface SandboxDescriptors {
  readonly info: number;
  /** Until something can be read here, the sandbox is built and nothing runs in it. */
  readonly go: number;
  readonly seccomp: number;
  /** First of those that carry the content of a file, one each, in the order of {@link BwrapArguments.contents}. */
  readonly firstFile: number;
}

export interface BwrapArguments {
  readonly args: readonly string[];
  /** What is written to the descriptors from `firstFile` on. */
  readonly contents: readonly string[];
}

/** Files of `/etc` that programs expect, made up: one user, one host. */
const OWN_ETC: readonly InjectedFile[] = [
  { path: "/etc/passwd", content: `nobody:x:${NOBODY_ID}:${NOBODY_ID}:nobody:${INSIDE.scratch}:/bin/sh\n` },
  { path: "/etc/group", content: `nogroup:x:${NOBODY_ID}:\n` },
  { path: "/etc/hosts", content: "127.0.0.1 localhost\n::1 localhost\n" },
  { path: "/etc/nsswitch.conf", content: "passwd: files\ngroup: files\nhosts: files\n" },
];

/**
 * What is read-only at the end. The kernel takes the children of a daemon that runs as root for root where it looks at
 * the user alone: they could write the host's settings in `/proc/sys` otherwise.
 */
const CLOSED = ["/dev", "/proc", "/"];

const NAMESPACES = ["--unshare-all", "--unshare-user", "--uid", String(NOBODY_ID), "--gid", String(NOBODY_ID)];

/**
 * The options of bubblewrap for a plan: own namespaces of every kind, no capability, a read-only root with nothing in it
 * but the system's programs, what was declared, and a scratch folder.
 *
 * They are handed over through a descriptor (`--args`), never on the command line, which every process can read.
 */
export function bwrapArguments(plan: SandboxPlan, fds: SandboxDescriptors): BwrapArguments {
  const contents: string[] = [];
  const file = (option: "--file" | "--ro-bind-data") => (given: InjectedFile) => {
    contents.push(given.content);
    const fd = String(fds.firstFile + contents.length - 1);
    return ["--perms", (given.mode ?? 0o444).toString(8).padStart(4, "0"), option, fd, given.path];
  };
  const args = [
    ...NAMESPACES,
    ...["--cap-drop", "ALL", "--die-with-parent", "--hostname", "sandbox"],
    // In a session that is kept, it is the filter of system calls that keeps a program from typing into the terminal.
    ...(plan.session === "new" ? ["--new-session"] : []),
    ...["--seccomp", String(fds.seccomp), "--info-fd", String(fds.info), "--block-fd", String(fds.go)],
    ...plan.root.entries.flatMap(rootEntry),
    ...["--proc", "/proc", ...plan.root.masks.flatMap((path) => ["--ro-bind", "/dev/null", path])],
    ...["--dev", "/dev", ...scratch("/dev/shm"), ...scratch(INSIDE.scratch)],
    ...plan.root.settings.flatMap((path) => ["--ro-bind", path, path]),
    ...OWN_ETC.flatMap(file("--file")),
    ...inOrder(plan.mounts).flatMap(bind),
    ...(plan.proxySocket === undefined ? [] : ["--ro-bind", plan.proxySocket, INSIDE.proxySocket]),
    ...plan.files.flatMap(file("--ro-bind-data")),
    ...CLOSED.flatMap((path) => ["--remount-ro", path]),
    ...[...plan.env].flatMap(([name, value]) => ["--setenv", name, value]),
    ...["--chdir", plan.cwd],
  ];
  return { args, contents };
}

function rootEntry({ path, linkTo }: HostRoot["entries"][number]): readonly string[] {
  return linkTo === undefined ? ["--ro-bind", path, path] : ["--symlink", linkTo, path];
}

function scratch(at: string): readonly string[] {
  return ["--perms", "1777", "--size", String(SCRATCH_BYTES), "--tmpfs", at];
}

function bind({ source, at, access }: Mount): readonly string[] {
  return [BIND[access], source, at];
}

const BIND = { read: "--ro-bind", write: "--bind", device: "--dev-bind" } as const;

/** A folder before what lies in it, so that the wider mount does not cover the narrower; writing wins over reading. */
function inOrder(mounts: readonly Mount[]): readonly Mount[] {
  return mounts.toSorted((a, b) => (a.at === b.at ? (a.access < b.access ? -1 : 1) : a.at < b.at ? -1 : 1));
}
