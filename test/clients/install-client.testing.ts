import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../harness/run.testing.ts";

/** Programs that are tested and are too large for everybody's install: 110 and 360 MB, the one with a web application. */
const CLIENTS = {
  inspector: {
    name: "@modelcontextprotocol/inspector",
    version: "2.12.0",
    program: "clients/launcher/build/index.js",
  },
  // What starts its platform's program where the package's install script did not run.
  claude: { name: "@anthropic-ai/claude-code", version: "2.1.330", program: "cli-wrapper.cjs" },
} as const;

/** With these Claude Code fetches nothing on the side. */
export const CLAUDE_QUIET = { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", DISABLE_AUTOUPDATER: "1" } as const;

/** Gone with `npm ci`, and seen neither by git nor by what is published. */
const CACHE = join(import.meta.dirname, "../../node_modules/.cache/doorward-clients");

/** A client that `npm` fetched, or why there is none. */
export interface InstalledClient {
  /** A script for Node. */
  readonly program: string;
  /** For `test`'s option `skip`. */
  readonly cannotRun: string | false;
}

/**
 * Installs a client with npm, once for this checkout: the version named here, and no install script of it or of what it
 * needs. Where it cannot be installed its tests say that they did not run, also in CI: what it needs is not locked here.
 */
export async function installClient(which: keyof typeof CLIENTS): Promise<InstalledClient> {
  const { name, version, program } = CLIENTS[which];
  const folder = join(CACHE, `${which}-${version}`);
  const installed = { program: join(folder, "node_modules", name, program), cannotRun: false } as const;
  if (existsSync(installed.program)) return installed;
  const why = await fetchInto(folder, `${name}@${version}`);
  if (existsSync(installed.program)) return installed;
  const cannotRun = `NOT TESTED: ${name}@${version} cannot be installed: ${why}`;
  return { ...installed, cannotRun };
}

/** Beside its place first, so that a half install is never taken for one. @returns What npm said. */
async function fetchInto(folder: string, wanted: string): Promise<string> {
  mkdirSync(CACHE, { recursive: true });
  const half = mkdtempSync(join(CACHE, "half-"));
  try {
    writeFileSync(join(half, "package.json"), "{}");
    const words = ["install", "--ignore-scripts", "--no-audit", "--no-fund", wanted];
    const { status, stderr } = await run("npm", words, { cwd: half, env: process.env });
    if (status === 0) renameSync(half, folder);
    return stderr.split("\n").find((line) => line.startsWith("npm error")) ?? `npm ended with ${status}`;
  } catch (error) {
    return String(error);
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
}
