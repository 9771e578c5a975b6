import type { Command } from "commander";
import { type Cli, optionsOf, show, withAdmin } from "./command-context.ts";

interface KillAnswer {
  readonly target: string;
  readonly effective_ms: number;
  readonly streams_cut: number;
  readonly leases_revoked: number;
  readonly already: boolean;
  readonly faults: readonly string[];
}

const TARGETS =
  "agent:NAME, service:NAME, secret:NAME, tenant:NAME, operation:SERVICE:OPERATION, client:ID, user:ID or all";

/** `doorward kill` and `doorward resume`. */
export function addKillCommands(program: Command, cli: Cli): void {
  program
    .command("kill <target>")
    .description(`stop something at once: ${TARGETS}`)
    .requiredOption("--why <text>", "kept in the evidence")
    .addHelpText("after", '\nExample:\n  doorward kill agent:dns-bot --why "deletes too much"')
    .action(async (target: string, _: unknown, command: Command) => {
      const { why } = optionsOf<{ why: string }>(command);
      await withAdmin(cli, command, async (admin) => {
        const answer = await admin.run<KillAnswer>("kill.set", { target, why });
        for (const fault of answer.faults) cli.terminal.say(`warning: it is in force now, but ${fault}`);
        show(cli, command, answer, () => [
          `${answer.target} is stopped (in force after ${answer.effective_ms} ms; ${answer.streams_cut} streams cut, ${answer.leases_revoked} leases ended)`,
        ]);
      });
    });

  program
    .command("resume <target>")
    .description("lift a kill")
    .requiredOption("--why <text>", "kept in the evidence")
    .addHelpText("after", '\nExample:\n  doorward resume agent:dns-bot --why "fixed"')
    .action(async (target: string, _: unknown, command: Command) => {
      const { why } = optionsOf<{ why: string }>(command);
      await withAdmin(cli, command, async (admin) => {
        const lifted = await admin.run<{ target: string }>("kill.lift", { target, why });
        show(cli, command, lifted, () => [`${lifted.target} may go on`]);
      });
    });
}
