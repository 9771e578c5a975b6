import type { Command } from "commander";
import { type Cli, columns, optionsOf, show, withAdmin } from "./command-context.ts";

interface ListedToken {
  readonly id: string;
  readonly kind: string;
  readonly agent: string;
  readonly client: string;
  readonly expires_at: string;
  readonly revoked_at: string | null;
  readonly last_used_at: string | null;
  readonly live: boolean;
}

/** `doorward token …`: whatever proves an agent, listed and taken back. */
export function addTokenCommands(program: Command, cli: Cli): void {
  const token = program.command("token").description("keys, access tokens and certificates: what proves an agent");

  token
    .command("list")
    .description("tokens that are known, the ended ones with --all")
    .option("--agent <name>", "those of one agent")
    .option("--all", "ended and revoked ones too")
    .addHelpText("after", "\nExample:\n  doorward token list --agent dns-bot --json")
    .action(async (_: unknown, command: Command) => {
      const { agent, all } = optionsOf<{ agent?: string; all?: boolean }>(command);
      await withAdmin(cli, command, async (admin) => {
        const answer = await admin.run<{ tokens: readonly ListedToken[] }>(
          "token.list",
          agent === undefined ? {} : { agent },
        );
        const tokens = answer.tokens.filter(({ live }) => live || all === true);
        show(cli, command, tokens, () =>
          columns([
            ["ID", "KIND", "AGENT", "STATE", "LAST USED"],
            ...tokens.map((one) => [one.id, one.kind, one.agent || "-", stateOf(one), one.last_used_at ?? "never"]),
          ]),
        );
      });
    });

  token
    .command("revoke <id>")
    .description("take back one token, or all of an agent, at once; its calls under way are cut")
    .addHelpText("after", "\nExample:\n  doorward token revoke key_3fGh5kLmN8pQ")
    .action(async (target: string, _: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const answer = await admin.run<{ revoked: readonly string[]; streams_cut: number }>("token.revoke", { target });
        show(cli, command, answer, () =>
          answer.revoked.length === 0 ? ["nothing was left to revoke"] : answer.revoked.map((id) => `revoked ${id}`),
        );
      });
    });
}

function stateOf({ revoked_at, expires_at, live }: ListedToken): string {
  if (revoked_at !== null) return `revoked ${revoked_at}`;
  return live ? `until ${expires_at}` : `ended ${expires_at}`;
}
