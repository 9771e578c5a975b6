/**
 * Where the time of a call goes: runs the daemon under Node's profiler and loads one door.
 *
 * Run it with `node bench/profile.ts api|mcp [SECONDS]`; prints the functions that take most, in µs of a call: alone, and
 * with all that they call. The first half of the time is left out, in which Node compiles. The figures are those of a
 * profiled process: they tell what to look at, not what a call costs.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeHome, startDaemon } from "./doorward.ts";
import { findLoader } from "./load.ts";
import { startUpstream } from "./nginx.ts";
import { doorwardTargets } from "./targets.ts";

const CONNECTIONS = 32;
const SHOWN = 70;
const ROOT = `file://${join(import.meta.dirname, "..")}/`;

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

const [door = "mcp", seconds = "8"] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "doorward-profile-"));
try {
  const callsPerSecond = await loadDaemon();
  const [file] = readdirSync(join(folder, "profile"));
  const profile = JSON.parse(readFileSync(join(folder, "profile", file!), "utf8")) as CpuProfile;
  process.stdout.write(
    `${Math.round(callsPerSecond)} calls a second, profiled\n${describeProfile(profile, callsPerSecond)}\n`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function loadDaemon(): Promise<number> {
  await using upstream = await startUpstream(folder);
  const home = await makeHome(folder, upstream.url);
  const flags = ["--cpu-prof", "--cpu-prof-interval=250", `--cpu-prof-dir=${join(folder, "profile")}`];
  await using daemon = await startDaemon(home, flags);
  const targets = await doorwardTargets(daemon, home);
  const { request } = door === "api" ? targets.api : targets.modern;
  const result = await findLoader(folder).run({ request, connections: CONNECTIONS, seconds: Number(seconds) });
  return result.calls / result.seconds;
}

function describeProfile({ nodes, samples, timeDeltas }: CpuProfile, callsPerSecond: number): string {
  const selfUs = new Map<number, number>();
  const half = Math.floor(samples.length / 2);
  let spanUs = 0;
  for (const [index, id] of samples.entries()) {
    if (index < half) continue;
    spanUs += timeDeltas[index]!;
    selfUs.set(id, (selfUs.get(id) ?? 0) + timeDeltas[index]!);
  }
  const calls = (spanUs / 1e6) * callsPerSecond;
  const alone = new Map<string, number>();
  const withCallees = new Map<string, number>();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const add = (to: Map<string, number>, key: string, us: number) => to.set(key, (to.get(key) ?? 0) + us / calls);
  const visit = (node: ProfileNode, above: ReadonlySet<string>): number => {
    const place = placeOf(node.callFrame);
    const inside = new Set(above).add(place);
    let us = selfUs.get(node.id) ?? 0;
    add(alone, place, us);
    for (const child of node.children ?? []) us += visit(byId.get(child)!, inside);
    if (!above.has(place)) add(withCallees, place, us);
    return us;
  };
  visit(nodes[0]!, new Set());
  return `\nalone, µs\n${print(alone)}\n\nwith what they call, µs\n${print(withCallees)}`;
}

function print(places: ReadonlyMap<string, number>): string {
  const rows = [...places].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  return rows.map(([place, us]) => `${us.toFixed(2).padStart(8)}  ${place}`).join("\n");
}

function placeOf({ functionName, url, lineNumber }: ProfileNode["callFrame"]): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  return url === "" ? name : `${name} ${url.replace(ROOT, "")}:${lineNumber + 1}`;
}
