// Runs inside a sandbox and tries to get out of it, in the ways that a hostile server would. Prints one JSON line for each
// try: { name, held, detail }. Facts about the outside come as JSON in the first argument.
//
// INVARIANT: a try that succeeds leaves the host as it was, also for root and without any sandbox. Where that cannot be
// had (mounts, system calls) nothing is tried unless the filter is in force.
"use strict";
const { spawn, spawnSync } = require("node:child_process");
const dns = require("node:dns/promises");
const fs = require("node:fs");
const net = require("node:net");

/** @type {{ home: string, userHome: string, port: number, abstract: string, pid: number, calls: Record<string, number>, memoryBytes: number, touch: boolean, processes: number, deviceInodes: Record<string, number> }} */
const outside = JSON.parse(process.argv[2] ?? "{}");

/** How long a way out that neither opens nor fails is waited for. */
const PATIENCE_MS = 2_000;
const EPERM = 1;

/** @param {string} name @param {boolean} held @param {string} detail */
function report(name, held, detail) {
  process.stdout.write(`${JSON.stringify({ name, held, detail })}\n`);
}

/** @param {() => unknown} attempt @returns {string | undefined} why it failed */
function failure(attempt) {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code ?? String(error);
  }
}

/** @param {string} name @param {readonly string[]} paths @param {(path: string) => unknown} attempt */
function none(name, paths, attempt) {
  const open = paths.filter((path) => failure(() => attempt(path)) === undefined);
  report(
    name,
    open.length === 0,
    open.length === 0 ? `${paths.length} tried, none opened` : `opened: ${open.join(", ")}`,
  );
}

function environments() {
  const own = new Set(Object.keys(process.env).concat("PWD", "OLDPWD", "_", "SHLVL"));
  const foreign = new Set();
  const seen = fs.readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  for (const pid of seen) {
    let text = "";
    failure(() => {
      text = fs.readFileSync(`/proc/${pid}/environ`, "utf8");
    });
    for (const line of text.split("\0")) {
      const name = line.split("=", 1)[0] ?? "";
      if (name !== "" && !own.has(name)) foreign.add(name);
    }
  }
  report(
    "environment",
    foreign.size === 0,
    foreign.size === 0 ? `${seen.length} processes seen` : [...foreign].join(", "),
  );
}

function files() {
  const { home, userHome } = outside;
  const sockets = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/user",
    "/run/dbus",
  ];
  none("host files", ["/etc/shadow", "/etc/ssh", "/root", "/var/log", "/sys/kernel", ...sockets], (path) =>
    fs.statSync(path),
  );
  none("homes", [home, userHome, `${userHome}/.ssh`], (path) => fs.readdirSync(path));
  const places = ["/", "/usr", "/usr/local", "/etc", "/run", "/var", "/dev", home, userHome];
  none("write outside", places, (path) => {
    const file = `${path}/.doorward-probe-${process.pid}`;
    fs.closeSync(fs.openSync(file, "wx"));
    fs.unlinkSync(file);
  });
  const settings = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sysrq-trigger",
    "/proc/self/mem",
  ];
  none("kernel settings", settings, (path) => fs.closeSync(fs.openSync(path, "r+")));
  none("modes of devices", ["/dev/null", "/dev/urandom"], (path) => {
    if (fs.statSync(path).ino !== outside.deviceInodes[path]) throw new Error("it is not the host's file");
    fs.chmodSync(path, 0o666);
  });
  none(
    "devices",
    ["mem", "kmem", "kmsg", "fuse", "kvm", "vda", "sda", "nvme0n1", "loop0"].map((name) => `/dev/${name}`),
    (path) => fs.statSync(path),
  );
}

/** @param {net.NetConnectOpts} to @returns {Promise<string | undefined>} */
function refused(to) {
  return new Promise((resolve) => {
    const socket = net.connect(to);
    const timer = setTimeout(() => resolve(undefined), PATIENCE_MS);
    socket.once("connect", () => resolve(undefined));
    socket.once("error", (error) => resolve(/** @type {NodeJS.ErrnoException} */ (error).code ?? error.message));
    socket.once("close", () => {
      clearTimeout(timer);
    });
  });
}

async function network() {
  const tries = /** @type {const} */ ([
    ["network address", { host: "192.0.2.1", port: 443 }],
    ["network address (IPv6)", { host: "2001:db8::1", port: 443 }],
    ["host loopback", { host: "127.0.0.1", port: outside.port }],
    ["abstract socket", { path: `\0${outside.abstract}` }],
  ]);
  for (const [name, to] of tries) {
    const why = await refused(to);
    report(name, why !== undefined, why ?? "it can be reached");
  }
  const name = await dns.lookup("example.com").then(
    ({ address }) => address,
    () => undefined,
  );
  report("name resolution", name === undefined, name ?? "no name is resolved");
}

/** What the kernel says of this process, and only then system calls by number, through perl where the system has one. */
function rights() {
  const status = fs.readFileSync("/proc/self/status", "utf8");
  const of = (/** @type {string} */ key) => new RegExp(`^${key}:\\s*(\\S+)`, "m").exec(status)?.[1];
  const filtered = of("Seccomp") === "2";
  report("system call filter", filtered, `Seccomp: ${of("Seccomp")}`);
  report("no new rights", of("NoNewPrivs") === "1", `NoNewPrivs: ${of("NoNewPrivs")}`);
  const capabilities = ["CapEff", "CapPrm", "CapBnd"].filter((key) => !/^0+$/.test(of(key) ?? ""));
  report("capabilities", capabilities.length === 0, capabilities.length === 0 ? "none" : capabilities.join(", "));
  const why = failure(() => process.kill(outside.pid, 0));
  report("outside processes", why === "ESRCH", why ?? "a process of the host can be signalled");
  if (filtered && capabilities.length === 0) systemCalls();
  else report("system calls", false, "not tried: nothing would hold them");
}

function systemCalls() {
  report("become root", failure(() => process.setuid?.(0)) !== undefined, "setuid(0)");
  const target = `${process.env["TMPDIR"]}/mount`;
  fs.mkdirSync(target);
  refusedCommand("mount", "/usr/bin/mount", ["-t", "tmpfs", "none", target]);
  refusedCommand("unshare", "/usr/bin/unshare", ["-Ur", "true"]);
  const code =
    "for (@ARGV) { my ($n, $k) = split /=/; $! = 0; my $r = syscall($k, 0, 0, 0, 0, 0); print qq($n ), $! + 0, qq(\\n) }";
  const listed = Object.entries(outside.calls).map(([call, number]) => `${call}=${number}`);
  const { status: exit, stdout } = spawnSync("/usr/bin/perl", ["-e", code, ...listed], { encoding: "utf8" });
  if (exit !== 0) return;
  const lines = stdout.trim().split("\n");
  const open = lines.filter((line) => !line.endsWith(` ${EPERM}`));
  const told = open.length === 0 ? `${listed.length} tried, all refused` : open.join(", ");
  report("system calls", open.length === 0, told);
}

/** @param {string} name @param {string} command @param {readonly string[]} args */
function refusedCommand(name, command, args) {
  if (!fs.existsSync(command)) return;
  const { status } = spawnSync(command, args, { stdio: "ignore" });
  report(name, status !== 0, status === 0 ? "it works" : "refused");
}

function memory() {
  const { memoryBytes, touch } = outside;
  const code = `const all = []; for (let i = 0; i < ${Math.ceil((memoryBytes * 2) / 2 ** 25)}; i++) { const b = Buffer.allocUnsafeSlow(2 ** 25); if (${touch}) b.fill(1); all.push(b); } process.exit(0)`;
  const { status } = spawnSync(process.execPath, ["-e", code], { stdio: "ignore" });
  report("memory", status !== 0, status === 0 ? `twice ${memoryBytes} bytes can be had` : "the limit holds");
}

async function processes() {
  /** @type {import("node:child_process").ChildProcess[]} */
  const started = [];
  let stopped = false;
  for (let i = 0; i < outside.processes && !stopped; i++) {
    const child = spawn("/bin/sleep", ["30"], { stdio: "ignore" });
    child.on("error", () => {});
    if (child.pid === undefined) stopped = true;
    else started.push(child);
  }
  for (const child of started) child.kill("SIGKILL");
  report("processes", stopped, stopped ? `the limit holds at ${started.length}` : `${started.length} can be started`);
}

async function main() {
  environments();
  files();
  await network();
  rights();
  memory();
  await processes();
  process.exit(0);
}

main();
