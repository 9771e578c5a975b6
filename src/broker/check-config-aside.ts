import { setImmediate as nextTurn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { readConfigText } from "../config/load-config.ts";
import type { Config, Finding } from "../config/schema.ts";
import { compileInSteps } from "../policy/compile-snapshot.ts";
import { type CheckedConfig, type CheckPlaces, checkConfigText, emptyFile, missingFile } from "./check-config.ts";

/** Smaller files are checked in milliseconds, which a worker's start would not win back. */
const INLINE_BYTES = 16 * 1024;
/** A turn of the event loop that is spent on compiling, before others get theirs. */
const SLICE_MS = 20;

type FromWorker =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly authorities: ReadonlyMap<string, string>;
      readonly warnings: readonly Finding[];
    }
  | { readonly ok: false; readonly findings: readonly Finding[] };

/**
 * Checks the file while calls go on: a large one is parsed in a worker and compiled in slices, so that no call waits
 * for a reload.
 *
 * @returns As `checkConfigFile` does. Throws only for faults of the program.
 */
export async function checkConfigAside(path: string, places: CheckPlaces = {}): Promise<CheckedConfig> {
  const text = await readConfigText(path);
  if (!text.ok) return { ok: false, findings: [text.finding] };
  if (text.missing) return { ok: false, findings: [missingFile(path)] };
  // An editor may empty a file before it fills it: where rules were in force, nothing at all is no intention.
  if (text.bytes.length === 0) return { ok: false, findings: [emptyFile(path)] };
  if (text.bytes.length <= INLINE_BYTES) return checkConfigText(text.bytes, path, places);
  const checked = await inWorker({ bytes: text.bytes, path, places });
  if (!checked.ok) return checked;
  const { config, authorities, warnings } = checked;
  const steps = compileInSteps(config, { authorities });
  let sliceEndsAt = performance.now() + SLICE_MS;
  for (;;) {
    const step = steps.next();
    if (step.done === true) {
      // The worker compiled the same configuration without a fault.
      if (!step.value.ok) throw new Error("the file compiles in one thread and not in the other");
      return { ok: true, snapshot: step.value.snapshot, authorities, bytes: text.bytes, warnings };
    }
    if (performance.now() < sliceEndsAt) continue;
    await nextTurn();
    sliceEndsAt = performance.now() + SLICE_MS;
  }
}

/** What the worker is given. */
export interface CheckTask {
  readonly bytes: Uint8Array;
  readonly path: string;
  readonly places: CheckPlaces;
}

function inWorker(task: CheckTask): Promise<FromWorker> {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const worker = new Worker(new URL(`./check-config-worker.${extension}`, import.meta.url), {
    workerData: task,
  });
  return new Promise((resolve, reject) => {
    worker.on("message", (message: FromWorker) => resolve(message));
    worker.on("error", reject);
    worker.on("exit", () => reject(new Error("the worker that checks the file ended without an answer")));
  });
}
