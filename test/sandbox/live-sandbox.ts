import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { ChildSpec, SandboxedChild } from "../../src/sandbox/child-spec.ts";
import { createSandbox, systemFacts } from "../../src/sandbox/create-sandbox.ts";
import { detectBubblewrap } from "../../src/sandbox/detect-bubblewrap.ts";

/** Where the programs of these tests are. */
export const PATH = process.env["PATH"] ?? "";
/** The bubblewrap of this machine, or what is missing. */
export const found = await detectBubblewrap(systemFacts(PATH));

/** Why the tests of this folder cannot run here; `false` when they can. In CI they must. */
export const cannotRun = (() => {
  if (found.ok || process.env["CI"] !== undefined) return false;
  return `NOT TESTED: ${found.detail}. ${found.remedy}`;
})();

const base = realpathSync(mkdtempSync(join(tmpdir(), "doorward-sandbox-test-")));
process.once("exit", () => rmSync(base, { recursive: true, force: true }));

/** Folders of these tests: a Doorward home, one that may be read and one that may be written. */
export const folders = { base, home: join(base, "home"), read: join(base, "read"), write: join(base, "write") };
for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true, mode: 0o700 });

export const sandbox = createSandbox({ home: folders.home, path: PATH });

type Over = Partial<Omit<ChildSpec, "config">> & { readonly config?: Partial<ChildSpec["config"]> };

/** A child's specification with nothing open. */
export function specOf(command: readonly [string, ...string[]], over: Over = {}): ChildSpec {
  const { config, ...rest } = over;
  const [program, ...args] = command;
  return {
    service: "s",
    command: program,
    args,
    cwd: undefined,
    env: new Map(),
    config: {
      mode: "strict",
      network: [],
      read: [],
      write: [],
      memoryBytes: 2 ** 28,
      cpu: 1,
      processes: 16,
      ...config,
    },
    programFiles: [],
    files: [],
    proxySocket: undefined,
    ...rest,
  };
}

/** Runs a shell script in a sandbox to its end. */
export async function runInside(script: string, over: Over = {}) {
  const child = await sandbox.start(specOf(["/bin/sh", "-c", script], over));
  return endOf(child);
}

/** What a child says until it ends. */
export async function endOf(child: SandboxedChild) {
  const [out, err, end] = await Promise.all([text(child.stdout), text(child.stderr), child.exited]);
  return { out, err, ...end };
}
