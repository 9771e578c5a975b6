import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "../base/problem.ts";
import { packageFault } from "./package-lock.ts";
import { visible } from "./surface-hidden.ts";

/** One npm package at one version. */
export interface PackageSpec {
  readonly name: string;
  /** Exact. */
  readonly version: string;
}

/** What an installation runs with. */
export interface InstallTools {
  /** The node that runs npm. */
  readonly node: string;
  /** npm's own program, `npm-cli.js`; `undefined` when there is none on this machine. */
  readonly npm: string | undefined;
  /** All that npm gets; see `npmEnvironment`. */
  readonly environment: { readonly [name: string]: string };
  /** Told what happens; one line each. */
  readonly say: (line: string) => void;
  /** Ends installations under way: the program stops. */
  readonly signal?: AbortSignal | undefined;
}

/** How long the registry may take. */
const INSTALL_MS = 5 * 60_000;
/** What is kept of npm's words. */
const MAX_OUTPUT_BYTES = 64 * 1024;
const MAX_WORDS = 300;
/** An unfinished folder that is older was left by a process that is gone. */
const STALE_MS = 60 * 60_000;
const UNFINISHED = ".unfinished-";

const OPTIONS = [
  "install",
  // Nothing of the package runs outside the sandbox.
  "--ignore-scripts",
  // A dependency from a repository has no hash, and git itself can be made to run programs.
  "--allow-git=none",
  "--save-exact",
  "--omit=dev",
  "--package-lock=true",
  "--global=false",
  "--no-audit",
  "--no-fund",
  "--no-update-notifier",
  "--loglevel=error",
];

/**
 * Installs a package below a folder with npm, whole or not at all: elsewhere first, and moved into place in the end.
 *
 * Not in a sandbox: npm needs the network and the owner's configuration. So no script of the package runs, and whatever has
 * no hash of the registry is refused.
 *
 * @param place - `target` holds the installed package afterwards; somebody else's finished one there is as good.
 * @throws {Problem} `upstream_unreachable` with npm's reason and what to do.
 */
export async function installPackage(
  spec: PackageSpec,
  place: { readonly packages: string; readonly target: string },
  tools: InstallTools,
): Promise<void> {
  const label = `${spec.name}@${spec.version}`;
  if (tools.npm === undefined) {
    throw failed(label, "there is no npm on this machine", "Install npm (it comes with Node.js), then try again.");
  }
  await mkdir(place.packages, { recursive: true, mode: 0o700 });
  await removeStale(place.packages);
  const folder = join(place.packages, `${UNFINISHED}${randomBytes(8).toString("hex")}`);
  await mkdir(folder, { mode: 0o700 });
  try {
    tools.say(`installing ${label} below ${place.packages} (without its scripts)`);
    await writeFile(join(folder, "package.json"), '{"name":"doorward-package","private":true}\n');
    const args = [tools.npm, ...OPTIONS, `--prefix=${folder}`, label];
    const done = await runNpm({ ...tools, args, cwd: folder });
    if (done !== undefined) throw failed(label, done, REMEDY);
    const fault = await packageFault(folder, spec);
    if (fault !== undefined)
      throw failed(label, fault, "Choose another version, or install the server yourself and name its program.");
    await moveInto(folder, place.target);
    tools.say(`installed ${label}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const REMEDY = "Check the name, the version and that this machine reaches its npm registry, then try again.";

function failed(label: string, why: string, remedy: string): Problem {
  return new Problem("upstream_unreachable", {
    detail: `the package \`${label}\` cannot be installed: ${why}`,
    remedy,
  });
}

async function moveInto(folder: string, target: string): Promise<void> {
  try {
    await rename(folder, target);
  } catch (error) {
    // Another process was first.
    if (!existsSync(join(target, "package-lock.json"))) throw error;
  }
}

async function removeStale(packages: string): Promise<void> {
  for (const name of await readdir(packages)) {
    if (!name.startsWith(UNFINISHED)) continue;
    const path = join(packages, name);
    const facts = await stat(path).catch(() => undefined);
    if (facts !== undefined && Date.now() - facts.mtimeMs > STALE_MS) await rm(path, { recursive: true, force: true });
  }
}

/** Runs npm; it starts no other program, as no script and no git may run. @returns Why it failed; `undefined` when it did not. */
function runNpm(run: {
  readonly node: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly environment: { readonly [name: string]: string };
  readonly signal?: AbortSignal | undefined;
}): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(run.node, run.args, {
      cwd: run.cwd,
      env: { ...run.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let words = "";
    let stopped: string | undefined;
    const hear = (chunk: Buffer) => {
      if (words.length < MAX_OUTPUT_BYTES) words += chunk.toString("utf8");
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    const stop = (why: string) => {
      stopped = why;
      child.kill("SIGKILL");
    };
    const timer = setTimeout(() => stop(`npm took longer than ${INSTALL_MS / 60_000} minutes`), INSTALL_MS);
    const abort = () => stop("it was broken off");
    run.signal?.addEventListener("abort", abort, { once: true });
    const leave = () => child.kill("SIGKILL");
    process.once("exit", leave);
    const settle = (reason: string | undefined) => {
      clearTimeout(timer);
      run.signal?.removeEventListener("abort", abort);
      process.removeListener("exit", leave);
      resolve(reason);
    };
    if (run.signal?.aborted) abort();
    child.once("error", (error) => settle(`npm cannot be started (${error.message})`));
    child.once("close", (code) => settle(stopped ?? (code === 0 ? undefined : npmReason(words))));
  });
}

/** npm's own words about its failure, on one line, without passwords in addresses. */
function npmReason(words: string): string {
  const lines = words
    .split("\n")
    .map((line) => /^npm (?:error|ERR!) ?(.*)$/.exec(line.trim())?.[1]?.trim() ?? "")
    .filter((line) => line !== "" && !/^(code|errno|syscall|A complete log|Note that you can also)\b/.test(line));
  const text = visible(lines.slice(0, 2).join("; ")).replaceAll(/\/\/[^/@\s]*@/g, "//");
  return text === "" ? "npm failed and did not say why" : `npm says: ${text.slice(0, MAX_WORDS)}`;
}
