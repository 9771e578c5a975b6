import { CommanderError } from "commander";
import { Problem } from "../base/problem.ts";
import { readEnvironment } from "../config/environment.ts";
import type { OpenApplication } from "./application.ts";
import { buildProgram } from "./build-program.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";
import { createTerminal } from "./terminal.ts";

/**
 * Runs one command line.
 *
 * @returns The exit status: 0 done, 1 failed, 2 wrong usage or config, 3 refused by policy, 4 a check found something.
 */
export async function runCli(argv: readonly string[], openApplication: OpenApplication): Promise<number> {
  const environment = readEnvironment();
  const terminal = createTerminal(environment);
  const cli = { environment, terminal, openApplication };
  try {
    const program = buildProgram(cli);
    await program.parseAsync(["node", "doorward", ...argv]);
    return EXIT.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (error instanceof CommandFailure) {
      if (error.message !== "") terminal.say(`doorward: ${error.message}`);
      return error.status;
    }
    if (error instanceof Problem) {
      terminal.say(`doorward: ${error.message}. ${error.remedy}`);
      return statusOf(error);
    }
    terminal.say(`doorward: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return EXIT.failed;
  }
}

function statusOf({ code }: Problem): number {
  switch (code) {
    case "invalid_request":
      return EXIT.usage;
    case "denied":
    case "killed":
    case "approval_required":
      return EXIT.refused;
    default:
      return EXIT.failed;
  }
}
