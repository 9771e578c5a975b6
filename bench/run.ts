/**
 * `npm run bench`: what Doorward costs, beside what the same work costs without it, in one run on one machine.
 *
 * Exit 1 when a limit is missed. `--quick` takes under a minute and writes no file; `--out FILE` writes elsewhere.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { AuditFigures } from "./audit.ts";
import { type BenchHome, countEvidence, makeHome, startDaemon, timeBareNode, timeConnect } from "./doorward.ts";
import { measureDrill } from "./drill.ts";
import { findLoader, type Loader, probe } from "./load.ts";
import { describeMachine } from "./machine.ts";
import { hasNginx, startNginxProxy, startUpstream } from "./nginx.ts";
import { canPin, LOAD_CORE, memoryMb, type Program, runProgram, SERVER_CORE, startProgram } from "./processes.ts";
import { missed, printReport, type Row, type Section, writeReport } from "./report.ts";
import { compare, runRounds, type Sample, type Samples, typical } from "./rounds.ts";
import { measureMcpServers } from "./servers.ts";
import { median } from "./statistics.ts";
import { apiRequest, doorwardTargets, makeTarget, modernRequest, type Target } from "./targets.ts";

/** How much of everything: a whole run takes minutes, a quick one tells whether something broke. */
const FULL = {
  rounds: 13,
  seconds: 1,
  warmSeconds: 12,
  starts: 21,
  coldStarts: 5,
  auditSeconds: 3,
  kills: 100,
  toolCalls: 1_000,
};
const QUICK = {
  rounds: 1,
  seconds: 1,
  warmSeconds: 1,
  starts: 5,
  coldStarts: 2,
  auditSeconds: 1,
  kills: 10,
  toolCalls: 200,
};

/** Connections where throughput is measured: enough to keep one core busy. */
const BUSY = 32;
const CROWDED = 64;

type Scale = typeof FULL;

interface Targets {
  readonly nginx: Target | undefined;
  readonly dispatch: Target;
  readonly bareMcp: Target;
  readonly api: Target;
  readonly modern: Target;
  readonly legacy: Target;
}

const { values: options } = parseArgs({
  options: { quick: { type: "boolean", default: false }, out: { type: "string" } },
});
process.exitCode = await bench(options.quick ? QUICK : FULL);

async function bench(scale: Scale): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "doorward-bench-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  process.on("exit", removeFolder);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  const machine = describeMachine(folder);
  const loader = findLoader(folder);
  say(machine.join("\n"));

  const sections = [
    ...(await measureServers(folder, loader, scale)),
    await measureUpstreams(folder, scale),
    await measureParts(scale),
  ];

  const method = describeMethod(loader, scale);
  say(`\n${printReport(sections)}`);
  const out = options.out ?? (options.quick ? undefined : join(import.meta.dirname, "RESULTS.md"));
  const command = `npm run bench${options.quick ? " -- --quick" : ""}`;
  if (out !== undefined) writeFileSync(out, writeReport(sections, { machine, command, at: new Date(), method }));
  const failures = missed(sections);
  for (const { work, figure, limit } of failures) say(`MISSED: ${work}: ${figure}, the limit is ${limit?.text}`);
  if (failures.length === 0) say("every limit is met");
  return failures.length === 0 ? 0 : 1;
}

async function measureServers(folder: string, loader: Loader, scale: Scale): Promise<Section[]> {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startUpstream(folder));
  const home = await makeHome(folder, upstream.url);
  const memory = await measureColdStart(home, scale);
  const daemon = stack.use(await startDaemon(home));
  const starts = await measureConnect(home, scale);
  const targets = await makeTargets(stack, { folder, upstream, daemon, home });
  const all = Object.values(targets).filter((target): target is Target => target !== undefined);

  say("warming up");
  const warm = await runRounds(all, loader, { connections: BUSY, rounds: 1, seconds: scale.warmSeconds });
  say(`throughput at ${BUSY} connections`);
  const busy = await runRounds(all, loader, { connections: BUSY, ...scale });
  say("latency at one connection");
  const pairs = [targets.dispatch, targets.api, targets.bareMcp, targets.modern];
  const alone = await runRounds(pairs, loader, { connections: 1, ...scale });
  say(`latency at ${CROWDED} connections`);
  const crowded = await runRounds(pairs, loader, { connections: CROWDED, ...scale });
  const loadedMb = memoryMb(daemon.pid, "VmRSS");
  say("kills");
  const kills = await measureDrill(home, scale.kills);
  const evidence = await checkEvidence(home, targets, [warm, busy, alone, crowded]);
  return [
    { title: `Throughput: 1 KB answers, ${BUSY} connections, one core`, rows: throughputRows(targets, busy) },
    { title: "Latency", rows: latencyRows(targets, alone, crowded) },
    { title: "Start and memory", rows: [...starts, ...memory, mbRow("daemon after the load, memory", loadedMb, 180)] },
    { title: "Kills", rows: kills },
    { title: "Evidence of this run", rows: [evidence] },
  ];
}

async function makeTargets(
  stack: AsyncDisposableStack,
  given: { readonly folder: string; readonly upstream: Program; readonly daemon: Program; readonly home: BenchHome },
): Promise<Targets> {
  const { folder, upstream, daemon, home } = given;
  const baseline = async (name: string) => {
    const words = [process.execPath, join(import.meta.dirname, name), upstream.url];
    return stack.use(await startProgram(words, { core: SERVER_CORE, ready: /ready on (\S+)/ }));
  };
  const dispatch = await baseline("baseline-dispatch.ts");
  const bareMcp = await baseline("baseline-mcp.ts");
  const nginx = hasNginx ? stack.use(await startNginxProxy(folder, upstream.url)) : undefined;
  return {
    nginx: nginx && (await makeTarget("nginx proxy_pass", nginx, apiRequest(nginx.url, home.key))),
    dispatch: await makeTarget("node:http + undici dispatch", dispatch, apiRequest(dispatch.url, home.key)),
    bareMcp: await makeTarget("bare MCP→HTTP forward", bareMcp, modernRequest(bareMcp.url, home.key)),
    ...(await doorwardTargets(daemon, home)),
  };
}

function throughputRows({ nginx, dispatch, bareMcp, api, modern, legacy }: Targets, samples: Samples): Row[] {
  const of = (target: Target) => samples.get(target)!;
  const ratio = (target: Target, base: Target, limit?: { readonly at: number; readonly required: boolean }): Row => {
    const figure = compare(of(target), of(base), (one, other) => one.callsPerSecond / other.callsPerSecond);
    const byCpu = compare(of(target), of(base), (one, other) => other.cpuUs / one.cpuUs);
    return {
      work: `${target.name}, against ${base.name}`,
      figure: figure.toFixed(2),
      beside: `${rate(of(target))} against ${rate(of(base))}; by processor time ${byCpu.toFixed(2)}`,
      ...(limit && { limit: { text: `≥ ${limit.at}`, met: figure >= limit.at, required: limit.required } }),
    };
  };
  const cost = (target: Target, limitUs?: number): Row => {
    const figure = typical(of(target), ({ cpuUs }) => cpuUs);
    return {
      work: `processor time of a call: ${target.name}`,
      figure: `${figure.toFixed(0)} µs`,
      beside: "all threads, user and system",
      ...(limitUs !== undefined && { limit: { text: `≤ ${limitUs} µs`, met: figure <= limitUs, required: false } }),
    };
  };
  return [
    ratio(modern, bareMcp, { at: 0.65, required: true }),
    ratio(legacy, bareMcp),
    ratio(api, dispatch, { at: 0.55, required: true }),
    ...(nginx === undefined ? [] : [ratio(api, nginx, { at: 0.3, required: false }), ratio(dispatch, nginx)]),
    cost(modern, 90),
    cost(legacy),
    cost(bareMcp),
    cost(api, 90),
    cost(dispatch),
    ...(nginx === undefined ? [] : [cost(nginx)]),
  ];
}

function latencyRows({ dispatch, bareMcp, api, modern }: Targets, alone: Samples, crowded: Samples): Row[] {
  return [[modern, bareMcp] as const, [api, dispatch] as const].flatMap(([target, base]): Row[] => {
    const added = compare(alone.get(target)!, alone.get(base)!, (one, other) => one.p50Us - other.p50Us) / 1_000;
    const tail = compare(crowded.get(target)!, crowded.get(base)!, (one, other) => one.p99Us / other.p99Us);
    const ms = (samples: Samples, of: Target, figure: (sample: Sample) => number) =>
      `${(typical(samples.get(of)!, figure) / 1_000).toFixed(2)} ms`;
    const p50 = ({ p50Us }: Sample) => p50Us;
    const p99 = ({ p99Us }: Sample) => p99Us;
    return [
      {
        work: `p50 added by ${target.name} at one connection`,
        figure: `${added.toFixed(2)} ms`,
        beside: `${ms(alone, target, p50)} against ${ms(alone, base, p50)}`,
        limit: { text: "≤ 0.7 ms", met: added <= 0.7, required: true },
      },
      {
        work: `p99 of ${target.name} at ${CROWDED} connections, against ${base.name}`,
        figure: `${tail.toFixed(2)}×`,
        beside: `${ms(crowded, target, p99)} against ${ms(crowded, base, p99)}`,
        limit: { text: "≤ 2×", met: tail <= 2, required: false },
      },
    ];
  });
}

async function measureConnect(home: BenchHome, { starts }: Scale): Promise<Row[]> {
  say("start of `connect`");
  await timeConnect(home, LOAD_CORE);
  const ratios: number[] = [];
  const bare: number[] = [];
  const connect: number[] = [];
  const peaks: number[] = [];
  const barePeaks: number[] = [];
  for (let round = 0; round < starts; round++) {
    const node = await timeBareNode(LOAD_CORE);
    const relay = await timeConnect(home, LOAD_CORE);
    bare.push(node.milliseconds);
    connect.push(relay.milliseconds);
    ratios.push(relay.milliseconds / node.milliseconds);
    peaks.push(relay.peakMb);
    barePeaks.push(node.peakMb);
  }
  const ratio = median(ratios);
  const peak = median(peaks);
  return [
    {
      work: "`doorward connect` to the first `tools/list` answer, against bare Node to its first line",
      figure: `${ratio.toFixed(2)}×`,
      beside: `${median(connect).toFixed(0)} ms against ${median(bare).toFixed(0)} ms`,
      limit: { text: "≤ 2.5×", met: ratio <= 2.5, required: true },
    },
    {
      work: "`doorward connect`, most memory held",
      figure: `${peak.toFixed(0)} MB`,
      beside: `bare Node: ${median(barePeaks).toFixed(0)} MB, most of it the program file that all processes share`,
      limit: { text: "≤ 45 MB", met: peak <= 45, required: false },
    },
  ];
}

async function measureColdStart(home: BenchHome, { coldStarts }: Scale): Promise<Row[]> {
  say("start of the daemon");
  const spans: number[] = [];
  const memory: number[] = [];
  for (let round = 0; round <= coldStarts; round++) {
    const begin = performance.now();
    await using daemon = await startDaemon(home);
    const { status } = await probe(apiRequest(`${daemon.url}/api/registrar`, home.key));
    if (status !== 200) throw new Error(`the first call was answered with ${status}`);
    // The first start fills the compile cache.
    if (round === 0) continue;
    spans.push(performance.now() - begin);
    memory.push(memoryMb(daemon.pid, "VmRSS"));
  }
  const span = median(spans);
  return [
    {
      work: "`doorward serve` to the first answered call",
      figure: `${span.toFixed(0)} ms`,
      beside: "compile cache filled",
      limit: { text: "≤ 250 ms", met: span <= 250, required: false },
    },
    mbRow("daemon after its first call, memory", median(memory), 90),
  ];
}

function mbRow(work: string, figure: number, limit: number): Row {
  return {
    work,
    figure: `${figure.toFixed(0)} MB`,
    beside: "resident",
    limit: { text: `≤ ${limit} MB`, met: figure <= limit, required: false },
  };
}

/** The measured calls must all stand in the evidence, twice; else durability was not what was measured. */
async function checkEvidence(
  home: BenchHome,
  { api, modern, legacy }: Targets,
  measured: readonly Samples[],
): Promise<Row> {
  const answered = measured
    .flatMap((samples) => [api, modern, legacy].flatMap((target) => samples.get(target) ?? []))
    .reduce((sum, { calls }) => sum + calls, 0);
  const { decided, completed } = await countEvidence(home);
  const met = decided >= answered && completed >= answered;
  return {
    work: "calls that were answered and stand in the evidence",
    figure: `${answered}`,
    beside: `${decided} decisions and ${completed} outcomes with an answer on the disk`,
    limit: { text: "each twice", met, required: true },
  };
}

async function measureUpstreams(folder: string, { starts, toolCalls }: Scale): Promise<Section> {
  say("MCP servers in their sandbox");
  return {
    title: "MCP servers that Doorward starts",
    rows: await measureMcpServers(folder, { calls: toolCalls, starts }),
  };
}

/** What the parts cost alone. */
async function measureParts({ auditSeconds }: Scale): Promise<Section> {
  say("the parts alone");
  const node = (file: string, ...more: readonly string[]) =>
    runProgram([process.execPath, join(import.meta.dirname, file), ...more], { core: SERVER_CORE });
  const audit = JSON.parse(await node("audit.ts", String(auditSeconds))) as AuditFigures;
  const decided = await node("../src/policy/measure-decide.testing.ts");
  const scrubbed = options.quick ? "" : await node("scrub.ts");
  const [, decisionUs = "NaN"] = /^10000 rules, 1000 agents: ([\d.]+) µs/m.exec(decided) ?? [];
  const scrubs = [
    ...scrubbed.matchAll(/^((?:plain|json|base64|server-sent)[^\d]*(?:64 KiB chunks)?) +(\d+) +(\d+)$/gm),
  ];
  return {
    title: "Parts alone",
    rows: [
      {
        work: "audit records a second, 1,000 in flight, each durable before it is acknowledged",
        figure: `${Math.round(audit.rowsPerSecond / 1_000)}k`,
        beside: `one alone: ${audit.aloneUs.toFixed(0)} µs`,
      },
      {
        work: "one decision among 10,000 rules and 1,000 agents",
        figure: `${decisionUs} µs`,
        beside: decided.trim().split("\n").slice(0, 2).join("; "),
        limit: { text: "≤ 5 µs", met: Number(decisionUs) <= 5, required: false },
      },
      ...scrubs.map(([, name = "", one, fifty]) => ({
        work: `scrubbing ${name.trim()}, 10 MB, one secret`,
        figure: `${one} MB/s`,
        beside: `50 secrets: ${fifty} MB/s`,
      })),
    ],
  };
}

function describeMethod(loader: Loader, { rounds, seconds, starts }: Scale): readonly string[] {
  return [
    "Every figure that compares was taken in this run: the servers are loaded in turns, each turn for",
    `${seconds} s, ${rounds} rounds, every other one in reverse; a ratio is the median over the rounds of the ratio within a round.`,
    `Starts are medians of ${starts}.`,
    canPin
      ? "The server under test has the core to which the disk's interrupts come; the loader and the upstream share another."
      : "Nothing is pinned: there is one core, or no taskset.",
    `The loader is ${loader.name}; the upstream is ${hasNginx ? "nginx" : "node:http"}, which answers 1 KB of JSON.`,
    "Doorward runs from the checkout as a daemon, with a home on disk, a bearer secret in its vault, two roles and two",
    "conditional policies; each of its calls is authenticated, decided, recorded, sent with the credential, scrubbed, and",
    "recorded again before its answer ends. The limits without “aim” fail the run.",
  ];
}

function rate(samples: readonly Sample[]): string {
  return `${Math.round(typical(samples, ({ callsPerSecond }) => callsPerSecond)).toLocaleString("en-US")}/s`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
