import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { type Cli, columns, optionsOf, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

const MAX_SECRET_BYTES = 64 * 1024;

interface ValueOptions {
  readonly stdin?: boolean;
  readonly fromEnv?: string;
  readonly fromFile?: string;
  readonly expires?: string;
  readonly short?: boolean;
}

interface ListedSecret {
  readonly name: string;
  readonly version: number;
  readonly expires_at: string | null;
  readonly used_by: readonly string[];
  readonly state: string;
}

/** `doorward secret …`: values go in by stdin, environment, file or prompt; none comes out. */
export function addSecretCommands(program: Command, cli: Cli): void {
  const secret = program.command("secret").description("secrets of the local vault; no command prints a value");

  for (const how of ["set", "rotate"] as const) {
    secret
      .command(`${how} <name>`)
      .description(
        how === "set" ? "store a secret, or replace its value" : "replace the value of a secret that is there",
      )
      .option("--stdin", "read the value from stdin")
      .option("--from-env <variable>", "take the value of an environment variable")
      .option("--from-file <file>", "take the content of a file")
      .option("--expires <date>", "do not use it after this date")
      .option("--short", "accept a value under 8 bytes, which cannot be scrubbed from text")
      .addHelpText("after", `\nExample:\n  printf %s "$KEY" | doorward secret ${how} registrar --stdin`)
      .action(async (name: string, _: unknown, command: Command) => {
        const options = optionsOf<ValueOptions>(command);
        const value = await readValue(cli, options);
        await withAdmin(cli, command, async (admin) => {
          const stored = await admin.run<{ name: string; version: number; scrubbable: boolean }>(`secret.${how}`, {
            name,
            value_base64: value.toString("base64"),
            ...(options.expires === undefined ? {} : { expires: options.expires }),
            ...(options.short === true ? { short: true } : {}),
          });
          value.fill(0);
          if (!stored.scrubbable) cli.terminal.say("note: a value this short cannot be scrubbed from text");
          show(cli, command, stored, () => [`${stored.name} is stored (version ${stored.version})`]);
        });
      });
  }

  secret
    .command("list")
    .description("names, versions and users of the secrets")
    .addHelpText("after", "\nExample:\n  doorward secret list --json")
    .action(async (_: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const { secrets } = await admin.run<{ secrets: readonly ListedSecret[] }>("secret.list");
        show(cli, command, secrets, () =>
          columns([
            ["NAME", "VERSION", "STATE", "EXPIRES", "USED BY"],
            ...secrets.map((one) => [
              one.name,
              String(one.version),
              one.state,
              one.expires_at ?? "-",
              one.used_by.join(", ") || "-",
            ]),
          ]),
        );
      });
    });

  secret
    .command("remove <name>")
    .description("remove a secret; services that use it are refused from then on")
    .addHelpText("after", "\nExample:\n  doorward secret remove registrar")
    .action(async (name: string, _: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const removed = await admin.run<{ name: string; used_by: readonly string[] }>("secret.remove", { name });
        if (removed.used_by.length > 0)
          cli.terminal.say(`note: ${removed.used_by.join(", ")} used it and will be refused now`);
        show(cli, command, removed, () => [`${name} is removed`]);
      });
    });
}

async function readValue(cli: Cli, options: ValueOptions): Promise<Buffer> {
  const ways = [options.stdin === true, options.fromEnv !== undefined, options.fromFile !== undefined].filter(
    Boolean,
  ).length;
  if (ways > 1) throw new CommandFailure(EXIT.usage, "give the value in one way: --stdin, --from-env or --from-file");
  if (options.fromEnv !== undefined) {
    const value = cli.environment.get(options.fromEnv);
    if (value === undefined)
      throw new CommandFailure(EXIT.usage, `the environment has no variable \`${options.fromEnv}\``);
    return withoutLineEnd(Buffer.from(value, "utf8"));
  }
  if (options.fromFile !== undefined) return withoutLineEnd(await readValueFile(options.fromFile));
  if (options.stdin === true) return withoutLineEnd(await cli.terminal.readStdin(MAX_SECRET_BYTES));
  const typed = await cli.terminal.askHidden("Value: ");
  if (typed === undefined)
    throw new CommandFailure(EXIT.usage, "give the value with --stdin, --from-env or --from-file");
  return Buffer.from(typed, "utf8");
}

async function readValueFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new CommandFailure(
      EXIT.usage,
      `the file \`${path}\` cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})`,
    );
  }
}

/** Editors and `echo` end a file with a line break that is not part of the secret. */
function withoutLineEnd(value: Buffer): Buffer {
  if (value.at(-1) !== 10) return value;
  return value.subarray(0, value.at(-2) === 13 ? -2 : -1);
}
