import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../harness/run.testing.ts";

/** The suite's program. */
export const SUITE = fileURLToPath(import.meta.resolve("@modelcontextprotocol/conformance/dist/index.js"));

/** One thing that the suite looked at. */
export interface Check {
  readonly id: string;
  readonly status: "SUCCESS" | "FAILURE" | "WARNING" | "INFO" | "SKIPPED";
}

/** Runs all scenarios of a revision. @returns The failing checks of each, by id. */
export async function runSuite(options: {
  readonly revision: string;
  readonly url: string;
  readonly folder: string;
}): Promise<ReadonlyMap<string, readonly string[]>> {
  const words = [
    "server",
    "--url",
    options.url,
    "--suite",
    "all",
    "--spec-version",
    options.revision,
    "-o",
    options.folder,
  ];
  const ran = await run(process.execPath, [SUITE, ...words]);
  const failing = new Map<string, readonly string[]>();
  for (const [name, checks] of readChecks(options.folder)) {
    const scenario = /^server-(.+)$/.exec(name)?.[1];
    assert.ok(scenario !== undefined, `${name} is the result of a scenario`);
    failing.set(scenario, failingOf(checks));
  }
  assert.notEqual(failing.size, 0, `the suite ran nothing: ${ran.stderr}`);
  return failing;
}

/** What the suite wrote into a folder, by what it ran. */
export function readChecks(folder: string): ReadonlyMap<string, readonly Check[]> {
  return new Map(
    checkFiles(folder).map((file) => {
      const entry = dirname(file);
      const name = /^(.+)-\d{4}-\d{2}-\d{2}T[\dZ-]+$/.exec(entry)?.[1] ?? entry;
      return [name, JSON.parse(readFileSync(join(folder, file), "utf8")) as Check[]];
    }),
  );
}

/** Names of scenarios have slashes. */
function checkFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => basename(file) === "checks.json");
}

/** The failing ones, by id. */
export function failingOf(checks: readonly Check[]): readonly string[] {
  return checks
    .filter(({ status }) => status === "FAILURE")
    .map(({ id }) => id)
    .sort();
}
