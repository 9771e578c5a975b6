import type { Command } from "commander";
import { SERVICE_PRESETS } from "../config/service-presets.ts";
import { type Cli, collect, columns, optionsOf, show, withAdmin } from "./command-context.ts";
import { addLoginCommands } from "./commands-login.ts";
import { addPinCommands } from "./commands-pins.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";
import { type AddOptions, addArguments } from "./service-add-arguments.ts";

interface ShownService {
  readonly name: string;
  readonly kind: "http" | "mcp";
  readonly url?: string;
  /** Of an MCP server that Doorward starts. */
  readonly command?: readonly string[];
  readonly sandbox?: string;
  readonly credential: { readonly kind: string; readonly secret?: string } | null;
  readonly operations: readonly {
    readonly scope: string;
    readonly effect: string;
    readonly allow: readonly string[];
    readonly tools?: readonly string[];
    readonly prompts?: readonly string[];
    readonly resources?: readonly string[];
  }[];
  readonly held: readonly { readonly secret: string; readonly why: string }[];
  readonly held_items?: readonly { readonly kind: string; readonly name: string; readonly why: string }[];
  /** Of an MCP server: since when lists go without it, because it did not answer in time. */
  readonly silent_since?: string;
  /** Whether the operations are a proposal. */
  readonly proposed?: boolean;
}

/** `doorward service …`: the services of the file. */
export function addServiceCommands(program: Command, cli: Cli): void {
  const service = program.command("service").description("APIs and MCP servers that agents may be let into");

  service
    .command("add <name> [arguments...]")
    .description("add an HTTP API or an MCP server to doorward.yaml")
    .option("--url <url>", "of an HTTP API: origin and base path; requests cannot leave them")
    .option(
      "--mcp <server>",
      "an MCP server: npx:NAME@VERSION, a URL, or a program; its arguments come last, behind --",
    )
    .option("--bearer <secret>", "Authorization: Bearer, from this secret")
    .option("--basic <user-secret...>", "Authorization: Basic: user name and secret")
    .option("--header <name-secret...>", "a header of this name, from this secret")
    .option("--query <name-secret...>", "a query parameter of this name, from this secret")
    .option("--env <variable=secret>", "of an MCP server: this variable holds a placeholder for this secret")
    .option("--host <host>", "where the placeholder becomes the secret; may be repeated", collect)
    .option("--place <place>", "where in a request it may stand: header, query or body")
    .option("--tool <glob>", "a tool of an MCP server that may be called; may be repeated", collect)
    .option("--read <path>", "what a started server may read; may be repeated", collect)
    .option("--write <path>", "what it may read and write; may be repeated", collect)
    .option("--network <host>", "what it may reach beside --host; may be repeated", collect)
    .option("--sandbox <mode>", "strict, degraded or off")
    .option("--allow <pattern>", 'what may be called, "GET /domains/{domain}"; may be repeated', collect)
    .option("--effect <effect>", "read, write or destructive")
    .option("--description <text>", "shown to agents")
    .option("--private", "it is at a private or loopback address")
    .option("--preset <preset>", `request headers that its clients need: ${[...SERVICE_PRESETS.keys()].join(", ")}`)
    .addHelpText(
      "after",
      '\nExample:\n  doorward service add registrar --url https://api.registrar.example/v1 --bearer registrar --allow "GET /domains"\n  doorward service add github --mcp npx:server-github@1.2.3 --env GITHUB_TOKEN=github --host api.github.com\n  doorward service add notes --mcp npx:server-filesystem@1.2.3 --read ./notes -- "$PWD/notes"',
    )
    .action(async (name: string, programArgs: readonly string[], _: unknown, command: Command) => {
      const options = optionsOf<AddOptions>(command);
      const args = addArguments(name, options, { programArgs, folder: process.cwd() });
      if (options.mcp !== undefined && options.tool === undefined)
        cli.terminal.say("starting the server once, to see what it offers (a package is installed first)");
      await withAdmin(cli, command, async (admin) => {
        const added = await admin.run<ShownService>("service.add", args);
        show(cli, command, added, () => describe(added));
        if (added.proposed === true)
          cli.terminal.say(
            "the operations are a proposal made from what the server says of itself; look at them in doorward.yaml",
          );
        cli.terminal.say(`a role must allow it before an agent can use it: \`allow: ["${name}:*"]\``);
      });
    });

  service
    .command("list")
    .description("services of the file")
    .addHelpText("after", "\nExample:\n  doorward service list")
    .action(async (_: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const { services } = await admin.run<{ services: readonly ShownService[] }>("service.list");
        show(cli, command, services, () =>
          columns([
            ["NAME", "KIND", "WHERE", "CREDENTIAL", "OPERATIONS"],
            ...services.map((one) => [
              one.name,
              one.kind,
              `${whereOf(one)}${one.silent_since === undefined ? "" : " (SILENT)"}`,
              credentialText(one) ?? "-",
              String(one.operations.length),
            ]),
          ]),
        );
      });
    });

  for (const [how, what, render] of [
    ["show", "one service with its operations", describe],
    ["remove", "remove a service from doorward.yaml", () => ["removed"]],
    ["confirm", "let a service use its secret at its present address, after looking at it", () => ["confirmed"]],
  ] as const) {
    service
      .command(`${how} <name>`)
      .description(what)
      .addHelpText("after", `\nExample:\n  doorward service ${how} registrar`)
      .action(async (name: string, _: unknown, command: Command) => {
        await withAdmin(cli, command, async (admin) => {
          const answer = await admin.run<ShownService>(`service.${how}`, { name });
          show(cli, command, answer, () => render(answer));
        });
      });
  }

  service
    .command("test <name>")
    .description(
      "fetch the credential and reach the service: one harmless read, or a list of what an MCP server offers",
    )
    .addHelpText("after", "\nExample:\n  doorward service test registrar --json")
    .action(async (name: string, _: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const found = await admin.run<{ readonly ok: boolean; readonly [field: string]: unknown }>("service.test", {
          name,
        });
        show(cli, command, found, () =>
          Object.entries(found).map(([field, value]) => `${field}: ${value === null ? "-" : String(value)}`),
        );
        if (!found.ok) throw new CommandFailure(EXIT.found);
      });
    });
  addPinCommands(service, cli);
  addLoginCommands(service, cli);
}

function whereOf({ url, command, sandbox }: ShownService): string {
  return url ?? `${(command ?? []).join(" ")}${sandbox === "strict" ? "" : ` (sandbox ${sandbox})`}`;
}

function credentialText({ credential }: ShownService): string | undefined {
  return credential === null ? undefined : `${credential.kind} ${credential.secret ?? ""}`.trim();
}

function describe(service: ShownService): readonly string[] {
  return [
    `${service.name}  ${whereOf(service)}`,
    `  credential: ${credentialText(service) ?? "none"}`,
    ...service.held.map(
      ({ secret, why }) => `  held: ${secret} (${why}); look at it, then \`doorward service confirm ${service.name}\``,
    ),
    ...(service.held_items ?? []).map(
      ({ kind, name, why }) => `  held: ${kind} ${name} (${why}); see \`doorward service pins ${service.name}\``,
    ),
    ...(service.silent_since === undefined
      ? []
      : [`  silent: it did not answer in time at ${service.silent_since}; lists go without it`]),
    ...service.operations.map(
      ({ scope, effect, allow, tools = [], prompts = [], resources = [] }) =>
        `  ${scope} (${effect}): ${[...allow, ...labelled("tools", tools), ...labelled("prompts", prompts), ...labelled("resources", resources)].join(", ")}`,
    ),
  ];
}

function labelled(what: string, globs: readonly string[]): readonly string[] {
  return globs.length === 0 ? [] : [`${what} ${globs.join(" ")}`];
}
