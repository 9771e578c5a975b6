import type { OpenApplication } from "./cli/application.ts";
import { runCli } from "./cli/run-cli.ts";

/** Runs one command line and sets the process's exit status. */
export async function main(argv: readonly string[]): Promise<void> {
  survivePipes();
  process.exitCode = await runCli(argv, openApplication);
}

/** Loaded when a home is opened: a command that asks the daemon needs none of it. */
const openApplication: OpenApplication = async (options) => {
  const root = await import("./open-application.ts");
  return root.openApplication(options);
};

/**
 * Readers go away: `| head`, or a client whose stderr a daemon inherited. That ends what only prints, and no daemon.
 */
function survivePipes(): void {
  process.stdout.on("error", () => process.exit());
  process.stderr.on("error", () => {});
}
