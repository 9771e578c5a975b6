/**
 * Where the time of a call goes: runs the daemon under Node's profiler and loads one door.
 *
 * Run it with `node bench/profile.ts api|mcp [SECONDS]`; prints the functions with most time of their own. The figures
 * are those of a profiled process, for finding out what to look at, not for comparing.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeHome, startDaemon } from "./doorward.ts";
import { findLoader } from "./load.ts";
import { startUpstream } from "./nginx.ts";
import { doorwardTargets } from "./targets.ts";

const CONNECTIONS = 32;
const SHOWN = 60;
const ROOT = `file://${join(import.meta.dirname, "..")}/`;

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const [door = "mcp", seconds = "5"] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "doorward-profile-"));
try {
  const callsPerSecond = await loadDaemon();
  const [file] = readdirSync(join(folder, "profile"));
  const profile = JSON.parse(readFileSync(join(folder, "profile", file!), "utf8")) as CpuProfile;
  process.stdout.write(`${Math.round(callsPerSecond)} calls a second, profiled\n\n${describeProfile(profile)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function loadDaemon(): Promise<number> {
  await using upstream = await startUpstream(folder);
  const home = await makeHome(folder, upstream.url);
  await using daemon = await startDaemon(home, ["--cpu-prof", `--cpu-prof-dir=${join(folder, "profile")}`]);
  const targets = await doorwardTargets(daemon, home);
  const { request } = door === "api" ? targets.api : targets.modern;
  const result = await findLoader(folder).run({ request, connections: CONNECTIONS, seconds: Number(seconds) });
  return result.calls / result.seconds;
}

function describeProfile({ nodes, samples, timeDeltas }: CpuProfile): string {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const selfUs = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const place = places.get(id)!;
    selfUs.set(place, (selfUs.get(place) ?? 0) + timeDeltas[index]!);
  }
  selfUs.delete("(idle)");
  const busyUs = [...selfUs.values()].reduce((sum, us) => sum + us, 0);
  const share = (us: number) => `${((100 * us) / busyUs).toFixed(1)} %`.padStart(7);
  const ordered = [...selfUs].sort(([, a], [, b]) => b - a);
  const files = Map.groupBy(ordered, ([place]) => place.split(" ").at(-1)!.replace(/:\d+$/, ""));
  const byFile = [...files]
    .map(([file, rows]) => [file, rows.reduce((sum, [, us]) => sum + us, 0)] as const)
    .sort(([, a], [, b]) => b - a);
  const print = (rows: readonly (readonly [string, number])[]) =>
    rows
      .slice(0, SHOWN)
      .map(([name, us]) => `${share(us)}  ${name}`)
      .join("\n");
  return `by function\n${print(ordered)}\n\nby file\n${print(byFile)}`;
}

function placeOf({ functionName, url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  return url === "" ? name : `${name} ${url.replace(ROOT, "")}:${lineNumber + 1}`;
}
