/** The worker of `check-config-aside.ts`: checks a text and hands back the parsed file, which is data, not the rules. */
import { parentPort, workerData } from "node:worker_threads";
import { checkConfigText } from "./check-config.ts";

const { bytes, path } = workerData as { readonly bytes: Uint8Array; readonly path: string };
const checked = await checkConfigText(bytes, path);
parentPort?.postMessage(
  checked.ok
    ? { ok: true, config: checked.snapshot.config, authorities: checked.authorities, warnings: checked.warnings }
    : checked,
);
