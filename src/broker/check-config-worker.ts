/** The worker of `check-config-aside.ts`: checks a text and hands back the parsed file, which is data, not the rules. */
import { parentPort, workerData } from "node:worker_threads";
import { checkConfigText } from "./check-config.ts";
import type { CheckTask } from "./check-config-aside.ts";

const { bytes, path, places } = workerData as CheckTask;
const checked = await checkConfigText(bytes, path, places);
parentPort?.postMessage(
  checked.ok
    ? { ok: true, config: checked.snapshot.config, authorities: checked.authorities, warnings: checked.warnings }
    : checked,
);
