import type { Command } from "commander";
import { SERVICE_PRESETS } from "../config/service-presets.ts";
import { type Cli, columns, optionsOf, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

interface AddOptions {
  readonly url: string;
  readonly bearer?: string;
  readonly basic?: readonly string[];
  readonly header?: readonly string[];
  readonly query?: readonly string[];
  readonly allow?: readonly string[];
  readonly effect?: string;
  readonly description?: string;
  readonly private?: boolean;
  readonly preset?: string;
}

interface ShownService {
  readonly name: string;
  readonly url: string;
  readonly credential: { readonly kind: string; readonly secret: string } | null;
  readonly operations: readonly {
    readonly scope: string;
    readonly effect: string;
    readonly allow: readonly string[];
  }[];
  readonly held: readonly { readonly secret: string; readonly why: string }[];
}

/** `doorward service …`: the services of the file. */
export function addServiceCommands(program: Command, cli: Cli): void {
  const service = program.command("service").description("APIs that agents may be let into");
  const collect = (value: string, previous: readonly string[] = []) => [...previous, value];

  service
    .command("add <name>")
    .description("add an HTTP API to doorward.yaml")
    .requiredOption("--url <url>", "origin and base path; requests cannot leave them")
    .option("--bearer <secret>", "Authorization: Bearer, from this secret")
    .option("--basic <user-secret...>", "Authorization: Basic: user name and secret")
    .option("--header <name-secret...>", "a header of this name, from this secret")
    .option("--query <name-secret...>", "a query parameter of this name, from this secret")
    .option("--allow <pattern>", 'what may be called, "GET /domains/{domain}"; may be repeated', collect)
    .option("--effect <effect>", "read, write or destructive")
    .option("--description <text>", "shown to agents")
    .option("--private", "it is at a private or loopback address")
    .option("--preset <preset>", `request headers that its clients need: ${[...SERVICE_PRESETS.keys()].join(", ")}`)
    .addHelpText(
      "after",
      '\nExample:\n  doorward service add registrar --url https://api.registrar.example/v1 --bearer registrar --allow "GET /domains"',
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = optionsOf<AddOptions>(command);
      const credential = credentialOf(options);
      await withAdmin(cli, command, async (admin) => {
        const added = await admin.run<ShownService>("service.add", {
          name,
          url: options.url,
          ...(credential === undefined ? {} : { credential }),
          ...(options.allow === undefined ? {} : { allow: options.allow }),
          ...(options.effect === undefined ? {} : { effect: options.effect }),
          ...(options.description === undefined ? {} : { description: options.description }),
          ...(options.private === true ? { private: true } : {}),
          ...(options.preset === undefined ? {} : { preset: options.preset }),
        });
        show(cli, command, added, () => describe(added));
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
            ["NAME", "URL", "CREDENTIAL", "OPERATIONS"],
            ...services.map((one) => [
              one.name,
              one.url,
              one.credential === null ? "-" : `${one.credential.kind} ${one.credential.secret}`,
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
    .description("fetch the credential and reach the service with one harmless read")
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
}

function credentialOf(options: AddOptions): { readonly [field: string]: string } | undefined {
  const given = (["bearer", "basic", "header", "query"] as const).filter((kind) => options[kind] !== undefined);
  if (given.length > 1)
    throw new CommandFailure(
      EXIT.usage,
      `a service has one credential; ${given.map((kind) => `--${kind}`).join(" and ")} were given`,
    );
  const [kind] = given;
  if (kind === undefined) return undefined;
  if (kind === "bearer") return { kind, secret: options.bearer ?? "" };
  const [name = "", secret, more] = options[kind] ?? [];
  if (secret === undefined || more !== undefined)
    throw new CommandFailure(EXIT.usage, `--${kind} takes two words: the name and the secret`);
  return kind === "basic" ? { kind, username: name, secret } : { kind, name, secret };
}

function describe(service: ShownService): readonly string[] {
  return [
    `${service.name}  ${service.url}`,
    `  credential: ${service.credential === null ? "none" : `${service.credential.kind} from ${service.credential.secret}`}`,
    ...service.held.map(
      ({ secret, why }) => `  held: ${secret} (${why}); look at it, then \`doorward service confirm ${service.name}\``,
    ),
    ...service.operations.map(({ scope, effect, allow }) => `  ${scope} (${effect}): ${allow.join(", ")}`),
  ];
}
