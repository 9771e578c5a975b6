import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { AdminClient } from "./admin-client.ts";
import { type Cli, columns, optionsOf, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

interface Begun {
  readonly login: string;
  readonly url: string;
  readonly expires_at: string;
}

interface State {
  readonly state: "waiting" | "done" | "failed";
  readonly why?: string;
}

interface ShownLogin {
  readonly service: string;
  readonly user: string | null;
  readonly token: string;
  readonly issuer: string;
  readonly granted_at: string;
  readonly renewable: boolean;
  readonly expires_at: string | null;
}

/** How often the daemon is asked whether the person is done. */
const POLL_MS = 500;

/** `doorward service login|logout|logins`: people sign in at MCP servers elsewhere. */
export function addLoginCommands(service: Command, cli: Cli): void {
  service
    .command("login <name>")
    .description("sign in at an MCP server elsewhere: prints a link to open in a browser, and waits")
    .option("--user <user>", "for the calls of this person (user:NAME); else for calls without a person")
    .option("--no-wait", "print the link and end")
    .addHelpText("after", "\nExample:\n  doorward service login linear")
    .action(async (name: string, _: unknown, command: Command) => {
      const { user, wait } = optionsOf<{ readonly user?: string; readonly wait: boolean }>(command);
      await withAdmin(cli, command, async (admin) => {
        const begun = await admin.run<Begun>("service.login", { name, ...(user === undefined ? {} : { user }) });
        show(cli, command, begun, () => [begun.url]);
        if (!wait) return;
        cli.terminal.say(`open it in a browser; it can be used once, until ${begun.expires_at}`);
        await waitFor(admin, begun.login);
        cli.terminal.say(`signed in at ${name}`);
      });
    });

  service
    .command("logout <name>")
    .description("drop a person's tokens of a server, here and there")
    .option("--user <user>", "of this person; else those for calls without a person")
    .option("--all", "of everybody")
    .addHelpText("after", "\nExample:\n  doorward service logout linear --all")
    .action(async (name: string, _: unknown, command: Command) => {
      const { user, all } = optionsOf<{ readonly user?: string; readonly all?: boolean }>(command);
      await withAdmin(cli, command, async (admin) => {
        const args = { name, ...(user === undefined ? {} : { user }), all: all === true };
        const answer = await admin.run<{ readonly dropped: number; readonly revoked_upstream: number }>(
          "service.logout",
          args,
        );
        show(cli, command, answer, () => [
          `dropped ${answer.dropped}, of which the authorization server took back ${answer.revoked_upstream}`,
        ]);
      });
    });

  service
    .command("logins")
    .description("who is signed in at which server")
    .addHelpText("after", "\nExample:\n  doorward service logins --json")
    .action(async (_: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const { logins } = await admin.run<{ readonly logins: readonly ShownLogin[] }>("service.logins");
        show(cli, command, logins, () =>
          columns([
            ["SERVICE", "USER", "ISSUER", "SINCE", "RENEWED"],
            ...logins.map((one) => [one.service, one.user ?? "-", one.issuer, one.granted_at, endText(one)]),
          ]),
        );
      });
    });
}

async function waitFor(admin: AdminClient, login: string): Promise<void> {
  for (;;) {
    const { state, why } = await admin.run<State>("service.login.state", { login });
    if (state === "done") return;
    if (state === "failed") throw new CommandFailure(EXIT.refused, `not signed in: ${why ?? "it failed"}`);
    await sleep(POLL_MS);
  }
}

function endText({ renewable, expires_at }: ShownLogin): string {
  return renewable ? "by itself" : `ends ${expires_at ?? "when the server says so"}`;
}
