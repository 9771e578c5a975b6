import type { Command } from "commander";
import { type Cli, columns, optionsOf, seconds, show, withAdmin } from "./command-context.ts";

interface MadeLink {
  readonly url: string;
  readonly person: string;
  readonly role: string;
  readonly expires_at: string;
}

interface People {
  readonly sessions: readonly {
    readonly person: string;
    readonly roles: readonly string[];
    readonly how: string;
    readonly since: string;
    readonly expires_at: string;
  }[];
  readonly passkeys: readonly {
    readonly id: string;
    readonly person: string;
    readonly roles: readonly string[];
    readonly host: string;
    readonly created_at: string;
  }[];
}

/** `doorward person …`: who signs in to the console. */
export function addPersonCommands(program: Command, cli: Cli): void {
  const person = program.command("person").description("people who sign in to the console");

  person
    .command("link")
    .description("a link that signs one person in to the console, once")
    .requiredOption("--role <role>", "owner, approver, auditor or operator")
    .option("--name <name>", "who it is for; links with one name are one person")
    .option("--ttl <duration>", "how long it can be used, 10m")
    .addHelpText("after", "\nExample:\n  doorward person link --role approver --name alice --ttl 10m")
    .action(async (_: unknown, command: Command) => {
      const { role, name, ttl } = optionsOf<{ role: string; name?: string; ttl?: string }>(command);
      await withAdmin(cli, command, async (admin) => {
        const link = await admin.run<MadeLink>("person.link", {
          role,
          ...(name === undefined ? {} : { name }),
          ...(ttl === undefined ? {} : { ttl_seconds: seconds(ttl) }),
        });
        if (!admin.daemon) cli.terminal.say("warning: no daemon runs on this home; start it with `doorward serve`");
        cli.terminal.say(`Signs in ${link.person} as ${link.role}, once, until ${link.expires_at}:`);
        show(cli, command, link, () => [link.url]);
      });
    });

  person
    .command("list", { isDefault: true })
    .description("who is signed in, and who has passkeys")
    .addHelpText("after", "\nExample:\n  doorward person list")
    .action(async (_: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const people = await admin.run<People>("person.list");
        show(cli, command, people, () =>
          columns([
            ["PERSON", "ROLES", "BY", "SINCE", "UNTIL"],
            ...people.sessions.map((one) => [one.person, one.roles.join(","), one.how, one.since, one.expires_at]),
            ...people.passkeys.map((one) => [
              one.person,
              one.roles.join(","),
              `a passkey at ${one.host}`,
              one.created_at,
              "-",
            ]),
          ]),
        );
      });
    });

  person
    .command("revoke <person>")
    .description("end a person's sessions, links and passkeys")
    .addHelpText("after", "\nExample:\n  doorward person revoke user:alice")
    .action(async (name: string, _: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const gone = await admin.run<{ sessions: number; links: number; passkeys: number }>("person.revoke", {
          person: name,
        });
        show(cli, command, gone, () => [
          `${name}: ${gone.sessions} sessions, ${gone.links} links and ${gone.passkeys} passkeys ended`,
        ]);
      });
    });
}
