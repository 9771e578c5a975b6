import type { Command } from "commander";
import type { JsonValue } from "../base/json.ts";
import { type Cli, columns, optionsOf, seconds, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

interface ShownApproval {
  readonly id: string;
  readonly agent: string;
  readonly service: string;
  readonly operation: string | null;
  readonly message: string;
  readonly status: string;
  readonly expires_at: string;
  readonly digest: string;
  readonly request?: JsonValue;
  readonly preview?: JsonValue;
}

/** `doorward approvals …`: what people are asked, and their answers. */
export function addApprovalCommands(program: Command, cli: Cli): void {
  const approvals = program.command("approvals").description("calls that wait for a person");

  approvals
    .command("list", { isDefault: true })
    .description("questions and answers of the last days")
    .option("--status <status>", "pending, granted, denied, expired or used")
    .addHelpText("after", "\nExample:\n  doorward approvals list --status pending")
    .action(async (_: unknown, command: Command) => {
      const { status } = optionsOf<{ status?: string }>(command);
      await withAdmin(cli, command, async (admin) => {
        const answer = await admin.run<{ approvals: readonly ShownApproval[]; altered: readonly string[] }>(
          "approvals.list",
          status === undefined ? {} : { status },
        );
        for (const id of answer.altered)
          cli.terminal.say(`warning: the record of ${id} was altered; it counts for nothing`);
        show(cli, command, answer.approvals, () =>
          columns([
            ["ID", "STATUS", "AGENT", "UNTIL", "MESSAGE"],
            ...answer.approvals.map((one) => [one.id, one.status, one.agent, one.expires_at, one.message]),
          ]),
        );
      });
    });

  approvals
    .command("show <id>")
    .description("everything that will be sent, and the preview of its effect")
    .addHelpText("after", "\nExample:\n  doorward approvals show apr_…")
    .action(async (id: string, _: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const one = await admin.run<ShownApproval>("approvals.show", { id });
        show(cli, command, one, () => [
          `${one.id}  ${one.status} until ${one.expires_at}`,
          `agent ${one.agent}, ${one.service}:${one.operation ?? "(several operations)"}`,
          one.message,
          ...`request: ${JSON.stringify(one.request, null, 2)}`.split("\n"),
          ...`preview: ${JSON.stringify(one.preview, null, 2)}`.split("\n"),
          `digest: ${one.digest}`,
        ]);
      });
    });

  approvals
    .command("approve <id>")
    .description("allow exactly this call, once or for a while")
    .option("--once", "the next repetition only (the default)")
    .option("--for <duration>", "repetitions of the same call within this time, 10m")
    .option("--why <text>", "kept in the evidence")
    .addHelpText("after", "\nExample:\n  doorward approvals approve apr_… --once")
    .action(async (id: string, _: unknown, command: Command) => {
      const options = optionsOf<{ once?: boolean; for?: string; why?: string }>(command);
      if (options.once === true && options.for !== undefined)
        throw new CommandFailure(EXIT.usage, "--once and --for exclude each other");
      await withAdmin(cli, command, async (admin) => {
        const one = await admin.run<ShownApproval>("approvals.approve", {
          id,
          ...(options.for === undefined ? {} : { for_seconds: seconds(options.for) }),
          ...(options.why === undefined ? {} : { why: options.why }),
        });
        show(cli, command, one, () => [`${one.id} is ${one.status}: ${one.message}`]);
      });
    });

  approvals
    .command("deny <id>")
    .description("refuse a call, or take back a yes that is not used")
    .requiredOption("--why <text>", "told to the agent, kept in the evidence")
    .addHelpText("after", '\nExample:\n  doorward approvals deny apr_… --why "not on a Friday"')
    .action(async (id: string, _: unknown, command: Command) => {
      const { why } = optionsOf<{ why: string }>(command);
      await withAdmin(cli, command, async (admin) => {
        const one = await admin.run<ShownApproval>("approvals.deny", { id, why });
        show(cli, command, one, () => [`${one.id} is ${one.status}`]);
      });
    });
}
