import { closeSync, fdatasyncSync, openSync, readFileSync, statfsSync, writeSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { median } from "./statistics.ts";

const SYNCS = 200;

/** What the figures were measured on, in lines for people: without it they say nothing. */
export function describeMachine(folder: string): readonly string[] {
  const [cpu] = cpus();
  return [
    `${cpu?.model.trim() ?? "unknown processor"}, ${cpus().length} cores, ${(totalmem() / 1e9).toFixed(1)} GB`,
    `Linux ${release().split("-", 1)[0]}, Node ${process.versions.node}, load average at the start ${loadavg()[0]!.toFixed(1)}`,
    `the home lies on ${fileSystem(folder)}, where one write with fdatasync takes ${syncUs(folder).toFixed(0)} µs`,
  ];
}

/** A tmpfs makes durability free, so it is named. @see statfs(2) */
function fileSystem(folder: string): string {
  const type = statfsSync(folder).type;
  const names = new Map([
    [0xef53, "ext4"],
    [0x01021994, "tmpfs (durable writes cost nothing here: not comparable)"],
    [0x58465342, "xfs"],
    [0x9123683e, "btrfs"],
    [0x794c7630, "overlayfs"],
  ]);
  return names.get(type) ?? `a file system of type 0x${type.toString(16)}`;
}

function syncUs(folder: string): number {
  const file = openSync(join(folder, "sync"), "w");
  const row = readFileSync(import.meta.filename).subarray(0, 600);
  const spans: number[] = [];
  for (let run = 0; run < SYNCS; run++) {
    const begin = performance.now();
    writeSync(file, row);
    fdatasyncSync(file);
    spans.push((performance.now() - begin) * 1_000);
  }
  closeSync(file);
  return median(spans);
}
