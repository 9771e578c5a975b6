import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { type AuditQuery, DEFAULT_LIMIT, type FoundEvent, searchAudit } from "../audit/search-audit.ts";
import { tailAudit } from "../audit/tail-audit.ts";
import { verifyAudit } from "../audit/verify-audit.ts";
import type { Home } from "../config/home.ts";
import { readDaemonStatus } from "./admin-client.ts";
import { type Cli, homeOf, optionsOf, seconds, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

interface QueryOptions {
  readonly request?: string;
  readonly agent?: string;
  readonly service?: string;
  readonly type?: string;
  readonly since?: string;
  readonly limit?: string;
}

interface VerifyOptions {
  readonly checkpoint?: string;
  readonly publicKey?: string;
}

/** `doorward audit …`: reads the evidence; all but `checkpoint` work on the files, without a daemon. */
export function addAuditCommands(program: Command, cli: Cli): void {
  const audit = program
    .command("audit")
    .description("the evidence: who did what, who allowed it, and whether it is whole");

  for (const [how, what] of [
    ["search", "find events, oldest first"],
    ["tail", "the newest events, then each new one"],
  ] as const) {
    audit
      .command(how)
      .description(what)
      .option("--request <id>", "of one call")
      .option("--agent <name>", "of one agent")
      .option("--service <name>", "of one service")
      .option("--type <type>", "call.decided, or a family: kill.*")
      .option("--since <time>", "2026-11-21T12:00:00Z, or so long ago: 1h")
      .option("--limit <count>", `how many at most (${how === "tail" ? 10 : DEFAULT_LIMIT})`)
      .addHelpText("after", `\nExample:\n  doorward audit ${how} --agent dns-bot --since 1h --json`)
      .action(async (_: unknown, command: Command) => {
        const home = homeOf(cli, command);
        const query = queryOf(optionsOf<QueryOptions>(command));
        const print = (event: FoundEvent) => show(cli, command, event.record, () => [describe(event)]);
        if (how === "search") {
          for (const event of await searchAudit(home.audit, query)) print(event);
          return;
        }
        const stop = new AbortController();
        process.once("SIGINT", () => stop.abort());
        process.once("SIGTERM", () => stop.abort());
        for await (const event of tailAudit(home.audit, { limit: 10, ...query }, stop.signal)) print(event);
      });
  }

  audit
    .command("show <request-id>")
    .description("all events of one call")
    .addHelpText("after", "\nExample:\n  doorward audit show req_…")
    .action(async (request: string, _: unknown, command: Command) => {
      const events = await searchAudit(homeOf(cli, command).audit, { request });
      if (events.length === 0) throw new CommandFailure(EXIT.failed, `there is no event of \`${request}\``);
      show(
        cli,
        command,
        events.map(({ record }) => record),
        () => events.flatMap(({ record }) => JSON.stringify(record, null, 2).split("\n")),
      );
    });

  audit
    .command("verify [dir]")
    .description("check that nothing was edited, taken out or put in; exit 4 with findings")
    .option("--checkpoint <file>", "a checkpoint kept elsewhere: shows what was cut off or written anew")
    .option("--public-key <file>", "the node's public key, kept elsewhere")
    .addHelpText("after", "\nExample:\n  doorward audit verify --checkpoint kept.txt --public-key key.pub --json")
    .action(async (dir: string | undefined, _: unknown, command: Command) => {
      const home = homeOf(cli, command);
      const options = optionsOf<VerifyOptions>(command);
      const live = dir === undefined ? await liveNodes(home) : undefined;
      const checkpoint = options.checkpoint === undefined ? undefined : await readKept(options.checkpoint);
      const publicKey = options.publicKey === undefined ? undefined : await readKept(options.publicKey);
      const verdict = await verifyAudit({
        folder: dir === undefined ? home.audit : resolve(dir),
        ...(checkpoint === undefined ? {} : { checkpoint }),
        ...(publicKey === undefined ? {} : { publicKey }),
        ...(live === undefined ? {} : { live }),
      });
      show(cli, command, verdict, () => [
        ...verdict.findings.map(
          ({ segment, seq, problem }) => `${segment}${seq === null ? "" : ` seq ${seq}`}: ${problem}`,
        ),
        `${verdict.ok ? "whole" : "NOT whole"}: ${verdict.events} events, ${verdict.checkpoints} checkpoints, key ${verdict.key}`,
      ]);
      if (!verdict.ok) throw new CommandFailure(EXIT.found);
    });

  audit
    .command("checkpoint")
    .description("a signed note of the present state: keep it where this machine's owner cannot change it")
    .option("--out <file>", "write it there instead of printing it")
    .addHelpText("after", "\nExample:\n  doorward audit checkpoint --out kept.txt")
    .action(async (_: unknown, command: Command) => {
      const { out } = optionsOf<{ out?: string }>(command);
      await withAdmin(cli, command, async (admin) => {
        const { checkpoint, public_key } = await admin.run<{ checkpoint: string; public_key: string }>(
          "audit.checkpoint",
        );
        if (out !== undefined) await writeFile(out, checkpoint);
        show(cli, command, { checkpoint, public_key, ...(out === undefined ? {} : { file: out }) }, () =>
          out === undefined ? checkpoint.trimEnd().split("\n") : [`the checkpoint is in ${out}`],
        );
      });
    });
}

/** A running node goes on writing while it is verified: what comes after its last durable line is not judged. */
async function liveNodes(home: Home): Promise<Map<string, { seq: number; hash: string }> | undefined> {
  const status = await readDaemonStatus(home);
  if (status === undefined) return undefined;
  return new Map([[status.node, { seq: status.audit.seq, hash: status.audit.hash }]]);
}

async function readKept(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new CommandFailure(
      EXIT.usage,
      `\`${path}\` cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})`,
    );
  }
}

function queryOf({ since, limit, ...rest }: QueryOptions): AuditQuery {
  const given = Object.fromEntries(
    (["request", "agent", "service", "type"] as const).flatMap((name) =>
      rest[name] === undefined ? [] : [[name, rest[name]]],
    ),
  );
  const count = limit === undefined ? undefined : Number(limit);
  if (count !== undefined && !(Number.isSafeInteger(count) && count > 0))
    throw new CommandFailure(EXIT.usage, `\`${limit}\` is no count`);
  return {
    ...given,
    ...(since === undefined ? {} : { since: instant(since) }),
    ...(count === undefined ? {} : { limit: count }),
  };
}

function instant(text: string): Date {
  if (/^\d+[smhd]$/.test(text)) return new Date(Date.now() - seconds(text) * 1_000);
  const date = new Date(text);
  if (Number.isNaN(date.getTime()))
    throw new CommandFailure(EXIT.usage, `\`${text}\` is no time; write 2026-11-21T12:00:00Z or 1h`);
  return date;
}

function describe({ record }: FoundEvent): string {
  const { at, type, agent, service, operation, decision, code, request_id } = record;
  return [
    at,
    type,
    decision ?? "",
    code ?? "",
    agent ?? "",
    service === null ? "" : `${service}:${operation ?? ""}`,
    request_id ?? "",
  ]
    .filter((part) => part !== "")
    .join("  ");
}
