import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { RulesState } from "../broker/rules-in-force.ts";
import type { Finding } from "../config/schema.ts";
import { startConfig } from "../config/start-config.ts";
import { connectAdmin } from "./admin-client.ts";
import type { Application } from "./application.ts";
import { type Cli, homeOf, openHere, optionsOf, show, withAdmin } from "./command-context.ts";
import { printFinding } from "./commands-policy.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

/** How long a daemon waits for an offline command to end, or for its predecessor. */
const LOCK_WAIT_MS = 3_000;

interface ShownServer {
  readonly service: string;
  readonly state: string;
  readonly mode: string | null;
  readonly limits: { readonly [name: string]: string } | null;
  readonly calls: number;
  readonly ignored: number;
  readonly failure: string | null;
  readonly silent_since: string | null;
}

interface Status {
  readonly version: string;
  readonly home: string;
  readonly listening: string | null;
  readonly assurance: number;
  readonly key_protection: { readonly kind: string; readonly where: string; readonly warning?: string };
  readonly rules: {
    readonly current: boolean;
    readonly snapshot: string | null;
    readonly findings: readonly Finding[];
  };
  readonly audit: { readonly available: boolean; readonly reason: string | null; readonly seq: number };
  readonly kills: readonly { readonly target: string; readonly why: string }[];
  readonly held_secrets: readonly { readonly ref: string; readonly service: string; readonly why: string }[];
  readonly approvals_pending: number;
  readonly servers: readonly ShownServer[];
  readonly calls_under_way: number;
  readonly keys_ending: readonly { readonly key_id: string; readonly agent: string; readonly expires_at: string }[];
  readonly not_ready: readonly string[];
}

/** What each assurance level means, in one line. */
const ASSURANCE = ["0: who reaches the socket and owner.key administers", "1: owner actions need the passphrase"];

/** `init`, `serve` and `status`. */
export function addDaemonCommands(program: Command, cli: Cli): void {
  program
    .command("init")
    .description("make a home: vault, keys, an empty doorward.yaml")
    .option("--yes", "ask nothing: assurance level 0")
    .option("--kek <way>", "how the key is protected: passphrase, keychain, file[:PATH], env:VAR or exec:CMD")
    .addHelpText("after", "\nExample:\n  doorward init --yes --home ./doorward-home")
    .action(async (_: unknown, command: Command) => {
      const options = optionsOf<{ yes?: boolean; kek?: string }>(command);
      await init(cli, command, options);
    });

  program
    .command("serve")
    .description("run the daemon")
    .option("--listen <host:port>", "instead of server.listen of the file")
    .option("--kek <way>", "for a home that is made now: how its key is protected")
    .option("--set-aside-damaged-audit", "set damaged evidence aside and begin a new chain, which says so")
    .addHelpText("after", "\nExample:\n  doorward serve --listen 127.0.0.1:7420")
    .action(async (_: unknown, command: Command) => {
      const options = optionsOf<{ listen?: string; kek?: string; setAsideDamagedAudit?: boolean }>(command);
      await serve(cli, command, options);
    });

  program
    .command("status")
    .description("what runs, what is open, what is wrong")
    .addHelpText("after", "\nExample:\n  doorward status --json")
    .action(async (_: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const status = await admin.run<Status>("status");
        show(cli, command, { running: admin.daemon, ...status }, () => describeStatus(status, admin.daemon));
      });
    });
}

async function init(cli: Cli, command: Command, options: { yes?: boolean; kek?: string }): Promise<void> {
  const home = homeOf(cli, command);
  const madeFile = await startConfig(home.config);
  const application = await open(cli, command, options);
  await application[Symbol.asyncDispose]();
  const { made, protection } = application;
  let level = application.level();
  if (options.yes !== true && level === 0) level = await raiseLevel(cli, command);
  const result = {
    home: home.home,
    config: home.config,
    made,
    config_made: madeFile,
    key_protection: protection,
    assurance: level,
  };
  show(cli, command, result, () => [
    `${made ? "made" : "kept"} the home ${home.home}`,
    `${madeFile ? "made" : "kept"} ${home.config}`,
    `the key is protected by: ${protection.kind} (${protection.where})`,
    `assurance level ${ASSURANCE[level]}`,
  ]);
  if (protection.warning !== undefined) cli.terminal.say(`warning: ${protection.warning}`);
  cli.terminal.say(
    "next: `doorward secret set NAME`, `doorward service add …`, `doorward agent add …`, `doorward serve`",
  );
}

/** Asks for the owner's passphrase; without a terminal the home stays at level 0, and says so. */
async function raiseLevel(cli: Cli, command: Command): Promise<0 | 1> {
  const next = await cli.terminal.askHidden("Owner's passphrase, for approving and changing rules (empty: none): ");
  if (next === undefined)
    cli.terminal.say(
      "note: no terminal to ask for an owner's passphrase on; assurance level 0 (`--yes` says so on purpose)",
    );
  if (next === undefined || next === "") return 0;
  const again = await cli.terminal.askHidden("Again: ");
  if (again !== next)
    throw new CommandFailure(
      EXIT.failed,
      "the two were not the same; the home is at assurance level 0, run `doorward init` again",
    );
  const home = homeOf(cli, command);
  await using admin = await connectAdmin(home, cli.terminal, () => openHere(cli, home));
  const { level } = await admin.run<{ level: 0 | 1 }>("owner.passphrase", { next });
  return level;
}

function open(
  cli: Cli,
  command: Command,
  options: { kek?: string; setAsideDamagedAudit?: boolean },
): Promise<Application> {
  return openHere(cli, homeOf(cli, command), {
    lockWaitMs: LOCK_WAIT_MS,
    rulesChanged: (state) => sayRules(cli, state),
    ...(options.kek === undefined ? {} : { kek: options.kek }),
    ...(options.setAsideDamagedAudit === true ? { damage: "set_aside" as const } : {}),
  });
}

/** A daemon says at once which rules are in force, and why a changed file is not. */
function sayRules({ terminal }: Cli, { snapshot, findings, warnings }: RulesState): void {
  for (const finding of [...findings, ...warnings]) terminal.say(`doorward: ${printFinding(finding)}`);
  if (findings.length === 0) terminal.say(`doorward: rules ${snapshot?.slice(0, 12)} are in force`);
  else if (snapshot !== undefined) terminal.say("doorward: the file is refused; the last rules stay in force");
}

async function serve(
  cli: Cli,
  command: Command,
  options: { listen?: string; kek?: string; setAsideDamagedAudit?: boolean },
): Promise<void> {
  const home = homeOf(cli, command);
  if (!existsSync(home.config)) await startConfig(home.config);
  await using application = await open(cli, command, options);
  const { terminal } = cli;
  if (!application.loaded.ok) throw new CommandFailure(EXIT.usage, "doorward.yaml is refused; nothing was started");
  if (application.protection.warning !== undefined)
    terminal.say(`doorward: warning: ${application.protection.warning}`);
  const served = await application.serve(options.listen === undefined ? undefined : listenAddress(options.listen));
  terminal.say(`doorward ready on ${served.address}`);
  process.on("SIGHUP", () => {
    application.reload("signal").then(
      (answer) =>
        terminal.say(
          `doorward: reload: ${answer.ok ? (answer.changed ? "in force" : "nothing changed") : "refused, the last rules stay in force"}`,
        ),
      (error: unknown) => terminal.say(`doorward: reload failed: ${String(error)}`),
    );
  });
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
  terminal.say("doorward: stopping; calls under way may end");
  // A second signal does not wait.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(EXIT.failed));
  await served.stop();
}

function listenAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:\s]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new CommandFailure(EXIT.usage, `\`${text}\` is no address; write 127.0.0.1:7420`);
  return { host: match[1] ?? match[2] ?? "", port };
}

/** What does not hold as it should is said; the rest is in `--json`. */
function describeServer({ service, state, mode, limits, calls, ignored, failure, ...rest }: ShownServer): string {
  const weak = Object.entries(limits ?? {}).filter(([, source]) => source !== "cgroup");
  const notes = [
    mode === null ? "elsewhere" : `sandbox ${mode}`,
    `${calls} calls under way`,
    ...weak.map(([limit, source]) => `${limit}: ${source === "none" ? "no limit" : "limited for each process"}`),
    ...(ignored === 0 ? [] : [`${ignored} messages ignored`]),
    ...(rest.silent_since === null ? [] : [`SILENT since ${rest.silent_since}: lists go without it`]),
  ];
  return failure === null
    ? `server ${service}: ${state} (${notes.join("; ")})`
    : `server ${service}: FAILED: ${failure}`;
}

function describeStatus(status: Status, running: boolean): readonly string[] {
  return [
    `doorward ${status.version}, home ${status.home}`,
    running
      ? `serves on ${status.listening ?? "the socket alone"}; ${status.calls_under_way} calls under way`
      : "no daemon runs",
    `rules: ${status.rules.snapshot ?? "none"}${status.rules.current ? "" : " (the file on disk is NOT in force)"}`,
    ...status.rules.findings.map((finding) => `  ${printFinding(finding)}`),
    `evidence: ${status.audit.available ? `${status.audit.seq} events` : `UNAVAILABLE: ${status.audit.reason}`}`,
    `key protection: ${status.key_protection.kind}${status.key_protection.warning === undefined ? "" : ` (warning: ${status.key_protection.warning})`}`,
    `assurance level ${ASSURANCE[status.assurance] ?? status.assurance}`,
    `approvals waiting: ${status.approvals_pending}`,
    ...status.servers.map(describeServer),
    ...status.kills.map(({ target, why }) => `kill in force: ${target} (${why})`),
    ...status.held_secrets.map(
      ({ ref, service, why }) => `held: ${ref} for ${service} (${why}); \`doorward service confirm ${service}\``,
    ),
    ...status.keys_ending.map(
      ({ key_id, agent, expires_at }) =>
        `key ${key_id} of ${agent} ends ${expires_at}; \`doorward agent rotate ${agent}\``,
    ),
    ...status.not_ready.map((reason) => `not ready: ${reason}`),
  ];
}
