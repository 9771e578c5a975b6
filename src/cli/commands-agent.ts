import type { Command } from "commander";
import { type Cli, collect, columns, optionsOf, seconds, show, withAdmin } from "./command-context.ts";
import { addClientCommands } from "./commands-client.ts";

interface IssuedKey {
  readonly agent: string;
  readonly key: string;
  readonly key_id: string;
  readonly expires_at: string;
  readonly file?: string;
  readonly still_valid?: readonly string[];
  readonly still_valid_until?: Readonly<Record<string, string>>;
}

interface ListedAgent {
  readonly name: string;
  readonly roles: readonly string[];
  readonly tenant: string | null;
  readonly environment: string | null;
  readonly keys: readonly {
    readonly key_id: string;
    readonly expires_at: string;
    readonly revoked_at: string | null;
    readonly last_used_at: string | null;
    readonly scopes: readonly string[] | null;
    readonly live: boolean;
    readonly ends_soon: boolean;
  }[];
}

interface KeyOptions {
  readonly ttl?: string;
  readonly printOnly?: boolean;
  readonly role?: readonly string[];
  readonly scope?: readonly string[];
  readonly environment?: string;
  readonly overlap?: string;
}

/** `doorward agent …`: agents of the file, and their keys. */
export function addAgentCommands(program: Command, cli: Cli): void {
  const agent = program.command("agent").description("agents and their keys");

  for (const [how, what] of [
    ["add", "add an agent to doorward.yaml and issue a key"],
    ["key", "issue a key for an agent of the file"],
    ["rotate", "issue a new key; the old ones stay valid for the overlap, else until they are revoked or expire"],
  ] as const) {
    const command = agent.command(`${how} <name>`).description(what);
    if (how === "add") command.option("--role <role>", "a role of the file; may be repeated", collect);
    if (how === "rotate") command.option("--overlap <duration>", "how long the old keys stay valid, at most 30d");
    else command.option("--environment <name>", "the environment that the agent runs in");
    command
      .option(
        "--scope <scope>",
        "narrow the key to this operation, as in registrar:domains:read; may be repeated",
        collect,
      )
      .option("--ttl <duration>", "how long the key lives, at most 90d")
      .option("--print-only", "show the key, do not write <home>/agents/NAME.key")
      .addHelpText(
        "after",
        `\nExample:\n  doorward agent ${how} dns-bot${how === "add" ? " --role dns-reader" : " --ttl 30d"} --json`,
      )
      .action(async (name: string, _: unknown, self: Command) => {
        const options = optionsOf<KeyOptions>(self);
        await withAdmin(cli, self, async (admin) => {
          const issued = await admin.run<IssuedKey>(`agent.${how}`, {
            name,
            ...(options.role === undefined ? {} : { roles: options.role }),
            ...(options.scope === undefined ? {} : { scopes: options.scope }),
            ...(options.environment === undefined ? {} : { environment: options.environment }),
            ...(options.overlap === undefined ? {} : { overlap_seconds: seconds(options.overlap) }),
            ...(options.ttl === undefined ? {} : { ttl_seconds: seconds(options.ttl) }),
            ...(options.printOnly === true ? { print_only: true } : {}),
          });
          show(cli, self, issued, () => [issued.key]);
          if (issued.file !== undefined)
            cli.terminal.say(`the key is in ${issued.file}; \`doorward connect --agent ${name}\` finds it there`);
          cli.terminal.say(`it is shown once, and valid until ${issued.expires_at} (${issued.key_id})`);
          for (const old of issued.still_valid ?? [])
            cli.terminal.say(
              `still valid: ${old} until ${issued.still_valid_until?.[old]}; end it with \`doorward agent revoke ${old}\``,
            );
        });
      });
  }

  addClientCommands(agent, cli);

  agent
    .command("revoke <name-or-key-id>")
    .description("end all keys of an agent, or one key, at once")
    .addHelpText("after", "\nExample:\n  doorward agent revoke dns-bot")
    .action(async (target: string, _: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const answer = await admin.run<{ revoked: readonly string[] }>("agent.revoke", { target });
        show(cli, command, answer, () =>
          answer.revoked.length === 0 ? ["nothing was left to revoke"] : answer.revoked.map((id) => `revoked ${id}`),
        );
      });
    });

  agent
    .command("list")
    .description("agents, their roles and keys")
    .addHelpText("after", "\nExample:\n  doorward agent list --json")
    .action(async (_: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const { agents } = await admin.run<{ agents: readonly ListedAgent[] }>("agent.list");
        show(cli, command, agents, () => [
          ...columns([
            ["NAME", "ROLES", "KEYS"],
            ...agents.map((one) => [one.name, one.roles.join(", ") || "-", liveKeys(one)]),
          ]),
        ]);
        for (const one of agents.filter(({ keys }) => keys.some((key) => key.ends_soon)))
          cli.terminal.say(
            `a key of ${one.name} ends within 7 days; \`doorward agent rotate ${one.name} --overlap 1d\``,
          );
      });
    });

  agent
    .command("show <name>")
    .description("one agent with its keys")
    .addHelpText("after", "\nExample:\n  doorward agent show dns-bot")
    .action(async (name: string, _: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const one = await admin.run<ListedAgent>("agent.show", { name });
        show(cli, command, one, () => [
          `${one.name}: roles ${one.roles.join(", ") || "none"}, tenant ${one.tenant ?? "-"}, environment ${one.environment ?? "-"}`,
          ...one.keys.map(describeKey),
        ]);
      });
    });
}

function describeKey(key: ListedAgent["keys"][number]): string {
  const life = key.revoked_at === null ? `until ${key.expires_at}` : `revoked ${key.revoked_at}`;
  const scopes = key.scopes === null ? "" : `  for ${key.scopes.join(", ")}`;
  return `  ${key.key_id}  ${life}${key.ends_soon ? " (soon)" : ""}  last used ${key.last_used_at ?? "never"}${scopes}`;
}

function liveKeys({ keys }: ListedAgent): string {
  const live = keys
    .filter((key) => key.live)
    .map(
      ({ key_id, expires_at, ends_soon }) => `${key_id} until ${expires_at.slice(0, 10)}${ends_soon ? " (soon)" : ""}`,
    );
  return live.join(", ") || "-";
}
