import { readFileSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { NAME_PATTERN } from "../config/names.ts";
import type { ChildEnd, ChildSpec, SandboxedChild, SandboxMode } from "../sandbox/child-spec.ts";
import type { Detection } from "../sandbox/detect-bubblewrap.ts";
import { type Cli, collect, homeOf, optionsOf } from "./command-context.ts";
import { type OpenExec, openExec } from "./exec-client.ts";
import { checkExecFolders, type ExecPlaces, findExecProgram } from "./exec-program.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

interface ExecOptions {
  readonly agent: string;
  readonly env: readonly string[];
  readonly service: readonly string[];
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly readOnly?: boolean;
  readonly purpose?: string;
  readonly sandbox: string;
}

/** What a command may use: more than a server, since compilers are commands too. */
const LIMITS = { memoryBytes: 8 * 1024 ** 3, processes: 4_096 };
/** A command that was asked to end, by a signal or by a kill, is ended after this. */
const GRACE_MS = { signal: 10_000, kill: 500 };
/** Variables of the person's that a command sees: of the terminal and the language, and no other. */
const KEPT = ["TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ"];
const MODES: readonly SandboxMode[] = ["strict", "degraded", "off"];
/** A program that ended by a signal, in the status of a shell. */
const SIGNALLED = 128;

/** `doorward exec`: any command, in a sandbox whose one way out is the daemon. */
export function addExecCommand(program: Command, cli: Cli): void {
  program
    .command("exec")
    .description("run a command that holds no key: in a sandbox, its requests decided by the agent's rules")
    .argument("<command...>", "after `--`: the program and its arguments")
    .requiredOption("--agent <name>", "whose key and rules to use")
    .option(
      "--env <name=service>",
      "a variable that shall hold a placeholder for a service's key (repeatable)",
      collect,
      [],
    )
    .option("--service <name>", "reach this service only (repeatable)", collect, [])
    .option("--read <path>", "a further file or folder to read (repeatable)", collect, [])
    .option("--write <path>", "a further file or folder to write (repeatable)", collect, [])
    .option("--read-only", "the working folder may be read only")
    .option("--purpose <text>", "which of the agent's purposes this is for")
    .option("--sandbox <mode>", "strict, or degraded or off, which open your files and network to it", "strict")
    .addHelpText(
      "after",
      "\nIt sees the system's programs, the working folder and what is named; your home is hidden.\n" +
        "\nExample:\n  doorward exec --agent claude --env GH_TOKEN=github -- gh pr list",
    )
    .action(async (words: [string, ...string[]], _: unknown, command: Command) => {
      const status = await runExec(cli, command, words);
      if (status !== EXIT.done) throw new CommandFailure(status);
    });
}

async function runExec(cli: Cli, command: Command, words: readonly [string, ...string[]]): Promise<number> {
  const options = optionsOf<ExecOptions>(command);
  const { environment, terminal } = cli;
  const home = homeOf(cli, command);
  const searchPath = environment.get("PATH") ?? "";
  const places: ExecPlaces = { cwd: process.cwd(), searchPath, home: home.home, userHome: environment.userHome };
  const { mode, detection } = await confinement(options.sandbox, searchPath);
  const [read, write] = options.readOnly === true ? [[places.cwd], []] : [[], [places.cwd]];
  const asked = { read: [...read, ...options.read], write: [...write, ...options.write] };
  // Without a sandbox nothing is hidden, so that nothing is opened either.
  const folders = mode === "strict" ? checkExecFolders(asked, places) : { read: [], write: [] };
  const found = findExecProgram(words, places);
  const session = await openExec(
    { socketPath: home.socket, key: readKey(home.agents, options.agent) },
    {
      command: basename(words[0]).slice(0, 256),
      mode,
      services: options.service,
      env: options.env.map(parsePlaceholder),
      ...(options.purpose === undefined ? {} : { purpose: options.purpose }),
    },
    terminal.say,
  );
  if (mode !== "strict") terminal.say(`doorward: sandbox mode \`${mode}\`: the command sees your files and network`);
  const kept = KEPT.flatMap((name) => {
    const value = environment.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const spec: ChildSpec = {
    service: basename(words[0]),
    ...found,
    cwd: places.cwd,
    env: new Map([...kept, ...session.env]),
    config: { mode, network: [], ...folders, ...LIMITS, cpu: availableParallelism() },
    files: [],
    proxySocket: session.socket,
    proxyCaPem: session.caPem,
    standard: "terminal",
  };
  try {
    return await runToItsEnd(cli, { spec, session, home: home.home, searchPath, detection });
  } finally {
    session.close();
  }
}

async function runToItsEnd(
  { terminal }: Cli,
  parts: {
    readonly spec: ChildSpec;
    readonly session: OpenExec;
    readonly home: string;
    readonly searchPath: string;
    readonly detection: Detection | undefined;
  },
): Promise<number> {
  const { createSandbox } = await import("../sandbox/create-sandbox.ts");
  // The terminal sends these to the command too, and the command decides.
  for (const signal of ["SIGINT", "SIGQUIT"] as const) process.on(signal, () => {});
  const { detection, home, searchPath } = parts;
  const detect = detection && (() => Promise.resolve(detection));
  const starting = createSandbox({ home, path: searchPath, ...(detect && { detect }) }).start(parts.spec);
  // The command may run before this process knows it.
  const stop = () => void starting.then((child) => child.stop(GRACE_MS.signal)).catch(() => {});
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  const child = await starting;
  const cut = await Promise.race([child.exited.then(() => undefined), parts.session.cut]);
  if (cut === undefined) return statusOf(await child.exited);
  await endFor(child, cut, terminal.say);
  return EXIT.refused;
}

async function endFor(child: SandboxedChild, why: string, say: (text: string) => void): Promise<void> {
  await child.stop(GRACE_MS.kill);
  say(`doorward: the command was ended: ${why}`);
}

function statusOf({ code, signal }: ChildEnd): number {
  if (signal === null) return code ?? EXIT.failed;
  return SIGNALLED + (constants.signals[signal as NodeJS.Signals] ?? 0);
}

/** What confines the command, known before it is asked for, and the bubblewrap that was looked for. @throws {CommandFailure} */
async function confinement(
  asked: string,
  searchPath: string,
): Promise<{ readonly mode: SandboxMode; readonly detection: Detection | undefined }> {
  const mode = MODES.find((one) => one === asked);
  if (mode === undefined)
    throw new CommandFailure(EXIT.usage, `\`${asked}\` is no mode; write strict, degraded or off`);
  if (mode === "off") return { mode, detection: undefined };
  const { systemFacts } = await import("../sandbox/create-sandbox.ts");
  const { detectBubblewrap } = await import("../sandbox/detect-bubblewrap.ts");
  const detection = await detectBubblewrap(systemFacts(searchPath));
  if (detection.ok) return { mode: "strict", detection };
  if (mode === "degraded") return { mode, detection };
  const remedy = detection.remedy.replace(/ for this service\b.*/, ".");
  throw new CommandFailure(
    EXIT.failed,
    `the command was not started: ${detection.detail}. ${remedy} \`--sandbox off\` runs it without one, with your files and network open to it.`,
  );
}

function parsePlaceholder(text: string): { readonly name: string; readonly service: string } {
  const [, name, service] = /^([A-Za-z_][A-Za-z0-9_]*)=([^=]+)$/.exec(text) ?? [];
  if (name !== undefined && service !== undefined) return { name, service };
  throw new CommandFailure(EXIT.usage, `\`${text}\` names no variable and service; write \`GH_TOKEN=github\``);
}

function readKey(folder: string, agent: string): string {
  if (!NAME_PATTERN.test(agent)) throw new CommandFailure(EXIT.usage, `\`${agent}\` is no name of an agent`);
  try {
    return readFileSync(join(folder, `${agent}.key`), "utf8").trim();
  } catch {
    const remedy = `run \`doorward agent key ${agent}\``;
    throw new CommandFailure(EXIT.usage, `there is no key for the agent \`${agent}\` in ${folder}; ${remedy}`);
  }
}
