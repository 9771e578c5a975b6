import { runCli } from "./cli/run-cli.ts";
import { openApplication } from "./open-application.ts";

/** Runs one command line and sets the process's exit status. */
export async function main(argv: readonly string[]): Promise<void> {
  process.exitCode = await runCli(argv, openApplication);
}
