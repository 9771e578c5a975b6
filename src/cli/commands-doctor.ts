import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { Problem } from "../base/problem.ts";
import type { ProbeReport } from "../sandbox/probe-sandbox.ts";
import { type Cli, columns, homeOf, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

/** One thing that was looked at. */
interface Check {
  readonly check: string;
  /** A note is worth knowing; a finding makes the command end with status 4. */
  readonly result: "held" | "note" | "finding";
  readonly detail: string;
}

interface KeyProtection {
  readonly key_protection: { readonly kind: string; readonly warning?: string };
}

/** `doctor`: the security checklist, run. */
export function addDoctorCommand(program: Command, cli: Cli): void {
  program
    .command("doctor")
    .description("look for what is unsafe: tries to get out of the sandbox, and looks at the home")
    .addHelpText("after", "\nExample:\n  doorward doctor --json")
    .action(async (_: unknown, command: Command) => {
      const checks = [...(await sandboxChecks(cli, command)), ...(await homeChecks(cli, command)), ...userChecks()];
      show(cli, command, { ok: checks.every(({ result }) => result !== "finding"), checks }, () => describe(checks));
      if (checks.some(({ result }) => result === "finding")) throw new CommandFailure(EXIT.found);
    });
}

/** Loaded when it is asked for: other commands start without it. */
async function sandboxChecks(cli: Cli, command: Command): Promise<readonly Check[]> {
  const { createSandbox } = await import("../sandbox/create-sandbox.ts");
  const { probeSandbox } = await import("../sandbox/probe-sandbox.ts");
  const { home } = homeOf(cli, command);
  const { environment } = cli;
  // Before there is a home, its place is taken by a folder that goes away again.
  const place = existsSync(home) ? home : mkdtempSync(join(tmpdir(), "doorward-doctor-"));
  const sandbox = createSandbox({ home: place, path: environment.get("PATH") ?? "" });
  try {
    return sandboxReport(await probeSandbox({ sandbox, home: place, userHome: environment.userHome }));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return [{ check: "sandbox", result: "finding", detail: `${error.message}. ${error.remedy}` }];
  } finally {
    if (place !== home) rmSync(place, { recursive: true, force: true });
  }
}

function sandboxReport({ findings, limits }: ProbeReport): readonly Check[] {
  const tried = findings.map(({ name, held, detail }): Check => {
    return { check: `sandbox: ${name}`, result: held ? "held" : "finding", detail };
  });
  const weak = Object.entries(limits).filter(([, source]) => source !== "cgroup");
  const notes = weak.map(([limit, source]): Check => {
    const detail =
      source === "none"
        ? "no limit is in force: there is no cgroup to hold it"
        : "held for each process alone: there is no cgroup to hold it";
    return { check: `limit: ${limit}`, result: "note", detail };
  });
  return [...tried, ...notes];
}

/** What `init` warned of, again. */
async function homeChecks(cli: Cli, command: Command): Promise<readonly Check[]> {
  const home = homeOf(cli, command);
  if (!existsSync(home.state)) return [{ check: "home", result: "note", detail: `there is none at ${home.home} yet` }];
  let protection: KeyProtection["key_protection"] | undefined;
  await withAdmin(cli, command, async (admin) => {
    protection = (await admin.run<KeyProtection>("status")).key_protection;
  });
  const { kind = "unknown", warning } = protection ?? {};
  return [{ check: "key protection", result: warning === undefined ? "held" : "note", detail: warning ?? kind }];
}

function userChecks(): readonly Check[] {
  if (process.getuid?.() !== 0) return [];
  const detail = "give the daemon a user of its own: what gets out of a sandbox of root's is root";
  return [{ check: "user", result: "note", detail: `this runs as root; ${detail}` }];
}

function describe(checks: readonly Check[]): readonly string[] {
  const marks = { held: "ok", note: "note", finding: "FOUND" } as const;
  return columns(checks.map(({ check, result, detail }) => [marks[result], check, detail]));
}
