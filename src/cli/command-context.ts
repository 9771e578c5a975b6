import { tmpdir } from "node:os";
import type { Command } from "commander";
import type { Environment } from "../config/environment.ts";
import { findHome, type Home } from "../config/home.ts";
import { parseKekChoice } from "../vault/kek.ts";
import { type AdminClient, connectAdmin } from "./admin-client.ts";
import type { Application, ApplicationOptions, OpenApplication } from "./application.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";
import { printable, printableLine } from "./printable.ts";
import type { Terminal } from "./terminal.ts";

/** What every command is given. */
export interface Cli {
  readonly environment: Environment;
  readonly terminal: Terminal;
  readonly openApplication: OpenApplication;
}

/** Options of every command. */
interface GlobalOptions {
  readonly home?: string;
  readonly config?: string;
  readonly json?: boolean;
}

/** How long an offline command waits for another one to end. */
const LOCK_WAIT_MS = 5_000;

export function optionsOf<T extends object>(command: Command): T & GlobalOptions {
  return command.optsWithGlobals<T & GlobalOptions>();
}

export function homeOf(cli: Cli, command: Command): Home {
  const { home, config } = optionsOf<object>(command);
  return findHome({ home, config }, cli.environment, { temporary: tmpdir(), uid: process.getuid?.() });
}

interface OpenOptions extends Partial<Pick<ApplicationOptions, "lockWaitMs" | "damage" | "rulesChanged">> {
  readonly kek?: string;
}

/** Opens the home in this process. */
export function openHere(cli: Cli, home: Home, options: OpenOptions = {}): Promise<Application> {
  const { terminal } = cli;
  return cli.openApplication({
    home,
    environment: cli.environment,
    ...(options.kek === undefined ? {} : { kek: parseKekChoice(options.kek) }),
    ask: {
      async askPassphrase(purpose) {
        const question = purpose === "new" ? "New passphrase for the vault: " : "Passphrase of the vault: ";
        const answer = await terminal.askHidden(question);
        if (answer !== undefined) return answer;
        throw new CommandFailure(
          EXIT.failed,
          "the vault's passphrase is needed and there is no terminal to type it on; run this on a terminal, or choose another `--kek` at `doorward init`",
        );
      },
    },
    ...(options.damage === undefined ? {} : { damage: options.damage }),
    lockWaitMs: options.lockWaitMs ?? LOCK_WAIT_MS,
    log: (line) => terminal.say(`doorward: ${line}`),
    rulesChanged: options.rulesChanged ?? (() => {}),
  });
}

/** Runs an administrative command against the daemon, or in this process when none runs. */
export async function withAdmin(
  cli: Cli,
  command: Command,
  work: (admin: AdminClient) => Promise<void>,
): Promise<void> {
  const home = homeOf(cli, command);
  await using admin = await connectAdmin(home, cli.terminal, () => openHere(cli, home));
  await work(admin);
}

/** Prints data: JSON with `--json`, else the lines for a person, each of which stays one line. */
export function show(cli: Cli, command: Command, data: unknown, lines: () => readonly string[]): void {
  if (optionsOf<object>(command).json === true) cli.terminal.print(printable(JSON.stringify(data)));
  else for (const line of lines()) cli.terminal.print(printableLine(line));
}

/** Text in columns, as wide as needed. */
export function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** For options that may be repeated: all that was given, in order. */
export function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

/** `90d`, `10m`, `1h`: seconds. @throws {CommandFailure} with status 2. */
export function seconds(text: string): number {
  const match = /^(\d+)(s|m|h|d)$/.exec(text);
  const unit = { s: 1, m: 60, h: 3_600, d: 86_400 }[match?.[2] ?? "s"] ?? 1;
  if (match === null)
    throw new CommandFailure(EXIT.usage, `\`${text}\` is no duration; write \`90d\`, \`1h\`, \`10m\` or \`30s\``);
  return Number(match[1]) * unit;
}
