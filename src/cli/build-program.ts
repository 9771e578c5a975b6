import { Command } from "commander";
import { VERSION } from "../base/version.ts";
import type { Cli } from "./command-context.ts";
import { addAgentCommands } from "./commands-agent.ts";
import { addApprovalCommands } from "./commands-approvals.ts";
import { addAuditCommands } from "./commands-audit.ts";
import { addDaemonCommands } from "./commands-daemon.ts";
import { addDoctorCommand } from "./commands-doctor.ts";
import { addDrillCommand } from "./commands-drill.ts";
import { addExecCommand } from "./commands-exec.ts";
import { addKillCommands } from "./commands-kill.ts";
import { addPersonCommands } from "./commands-person.ts";
import { addPolicyCommands } from "./commands-policy.ts";
import { addSecretCommands } from "./commands-secret.ts";
import { addServiceCommands } from "./commands-service.ts";
import { addTokenCommands } from "./commands-token.ts";
import { printCompletion } from "./completion.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";
import { addTryCommand } from "./try-tour.ts";

/** Commands of the design that this version does not have. */
const NOT_BUILT = ["import", "restore", "grants", "report", "inventory"];

/** Builds the command tree; commands that are not built yet say so and fail. */
export function buildProgram(cli: Cli): Command {
  const program = new Command("doorward")
    .description("A credential broker for AI agents: they call APIs through it and never hold a key.")
    .version(VERSION, "-V, --version")
    .option("--home <dir>", "the home (else DOORWARD_HOME, else ~/.doorward)")
    .option("--config <file>", "doorward.yaml (else DOORWARD_CONFIG, else <home>/doorward.yaml)")
    .option("--json", "data as JSON")
    .showSuggestionAfterError()
    .showHelpAfterError("(see --help)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => cli.terminal.print(text.trimEnd()),
      writeErr: (text) => cli.terminal.say(text.trimEnd()),
    });

  addDaemonCommands(program, cli);
  addTryCommand(program, cli);
  addServiceCommands(program, cli);
  addSecretCommands(program, cli);
  addAgentCommands(program, cli);
  addTokenCommands(program, cli);
  addPolicyCommands(program, cli);
  addApprovalCommands(program, cli);
  addPersonCommands(program, cli);
  addKillCommands(program, cli);
  addDrillCommand(program, cli);
  addAuditCommands(program, cli);
  addDoctorCommand(program, cli);
  addExecCommand(program, cli);
  program
    .command("connect")
    .description("what an MCP client starts: relays its stdio to the daemon")
    .requiredOption("--agent <name>", "whose key to use")
    .addHelpText("after", "\nExample:\n  doorward connect --agent claude")
    .action(() => {
      throw new CommandFailure(
        EXIT.usage,
        "`connect` must be the first word: `doorward connect --agent NAME --home DIR`",
      );
    });
  program
    .command("completion <shell>")
    .description("completion script for bash, zsh or fish")
    .addHelpText("after", "\nExample:\n  doorward completion bash > /etc/bash_completion.d/doorward")
    .action((shell: string) => cli.terminal.print(printCompletion(program, shell)));
  for (const name of NOT_BUILT) {
    program
      .command(name, { hidden: true })
      .allowUnknownOption()
      .argument("[words...]")
      .action(() => {
        throw new CommandFailure(EXIT.failed, `\`${name}\` is not built yet`);
      });
  }
  inheritExit(program);
  return program;
}

/** Sub-commands report to the program too, instead of ending the process. */
function inheritExit(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride().copyInheritedSettings(command);
    inheritExit(child);
  }
}
