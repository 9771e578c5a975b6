import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { searchAudit } from "../audit/search-audit.ts";
import { verifyAudit } from "../audit/verify-audit.ts";
import type { Home } from "../config/home.ts";
import { writePrivateFile } from "../vault/write-private-file.ts";
import { readDaemonStatus } from "./admin-client.ts";
import { type Cli, homeOf, optionsOf, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

/** What the daemon measured. */
interface DrillAnswer {
  readonly target: string;
  readonly started_at: string;
  readonly new_call_ms: readonly number[];
  readonly stream_ms: readonly number[];
  readonly refused: readonly string[];
  readonly cut: readonly string[];
}

interface DrillReport {
  readonly runs: number;
  readonly target: string;
  readonly started_at: string;
  readonly new_call_ms: Percentiles;
  readonly stream_ms: Percentiles;
  readonly audit_ok: boolean;
  readonly file: string;
}

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

/** Events of a drill: a key, its calls, its kills. */
const EVENTS_LIMIT = 100_000;

/** `doorward drill`: a kill, measured. */
export function addDrillCommand(program: Command, cli: Cli): void {
  program
    .command("drill")
    .description("stop an agent for real, measure how long it takes, and let it go on")
    .option("--agent <name>", "an agent of the file, which IS stopped meanwhile; without it one of the drill's own")
    .option("--runs <n>", "how often", "10")
    .addHelpText("after", "\nExample:\n  doorward drill --runs 100 --json")
    .action(async (_: unknown, command: Command) => {
      const { agent, runs } = optionsOf<{ agent?: string; runs: string }>(command);
      if (!/^\d{1,6}$/.test(runs)) throw new CommandFailure(EXIT.usage, `\`${runs}\` is no number of runs`);
      const home = homeOf(cli, command);
      await withAdmin(cli, command, async (admin) => {
        const args = { runs: Number(runs), ...(agent === undefined ? {} : { agent }) };
        const answer = await admin.run<DrillAnswer>("drill.run", args);
        const report = await keepReport(home, answer);
        show(cli, command, report, () => describe(report));
        if (!report.audit_ok) throw new CommandFailure(EXIT.found, "the evidence of the drill is not whole");
      });
    });
}

async function keepReport(home: Home, answer: DrillAnswer): Promise<DrillReport> {
  const folder = join(home.home, "drills");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `${answer.started_at.replaceAll(/[:.]/g, "-")}.json`);
  const report = {
    runs: answer.refused.length,
    target: answer.target,
    started_at: answer.started_at,
    new_call_ms: percentiles(answer.new_call_ms),
    stream_ms: percentiles(answer.stream_ms),
    audit_ok: await isEvidenceWhole(home, answer),
    file,
  };
  const { file: _, ...kept } = report;
  const text = `${JSON.stringify({ ...kept, each: answer }, undefined, 2)}\n`;
  await writePrivateFile(file, text, { ifThere: "replace" });
  return report;
}

/** The chain holds, and of each run stand there: the kill, the refusal, the stream that was cut, and the kill's end. */
async function isEvidenceWhole(home: Home, answer: DrillAnswer): Promise<boolean> {
  const status = await readDaemonStatus(home);
  const live = status === undefined ? undefined : new Map([[status.node, status.audit]]);
  const verdict = await verifyAudit({ folder: home.audit, ...(live === undefined ? {} : { live }) });
  const found = await searchAudit(home.audit, { since: new Date(answer.started_at), limit: EVENTS_LIMIT });
  const events = found.map(({ record }) => record as typeof record & { readonly target?: unknown });
  const ended = (type: string) =>
    new Set(events.filter((event) => event.type === type && event.code === "killed").map((event) => event.request_id));
  const refused = ended("call.decided");
  const cut = ended("call.completed");
  const kills = (type: string) =>
    events.filter((event) => event.type === type && event.target === answer.target).length;
  const runs = answer.refused.length;
  return (
    verdict.ok &&
    answer.refused.every((id) => refused.has(id)) &&
    answer.cut.every((id) => cut.has(id)) &&
    kills("kill.set") >= runs &&
    kills("kill.lifted") >= runs
  );
}

/** In milliseconds, to a microsecond; the nearest rank. */
function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => {
    const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
    return Math.round(value * 1_000) / 1_000;
  };
  return { p50: at(0.5), p99: at(0.99) };
}

function describe({ runs, target, new_call_ms, stream_ms, audit_ok, file }: DrillReport): readonly string[] {
  return [
    `${target} was stopped and let go on ${runs} times`,
    `a new call is refused after ${new_call_ms.p50} ms (p99 ${new_call_ms.p99} ms)`,
    `an open stream is cut after ${stream_ms.p50} ms (p99 ${stream_ms.p99} ms)`,
    audit_ok ? "the evidence of each is whole" : "THE EVIDENCE IS NOT WHOLE: run `doorward audit verify`",
    `kept in ${file}`,
  ];
}
