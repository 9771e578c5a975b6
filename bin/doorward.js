#!/usr/bin/env node
/**
 * The launcher: runs `doorward …` with whatever Node started it.
 *
 * A Node that is too old is replaced by the one that the project pins. `connect` is answered here, without loading
 * anything else, because every MCP client waits for it at its start.
 */
import { existsSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

const OLDEST = { major: 24, minor: 7 };

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor)) await replaceNode();
else if (process.argv[2] === "connect") await import("./connect.js");
else await start();

async function start() {
  const { setFlagsFromString } = await import("node:v8");
  // What lives long at the start makes V8 place later objects of the same kind among the old ones, for good. Then every
  // call's garbage outlives the young generation: in one start of four, a third of the throughput.
  setFlagsFromString("--no-allocation-site-pretenuring");
  // Little survives of a call: to wake threads for collecting it takes longer than the collection, where there is one core
  // a tenth of the throughput.
  setFlagsFromString("--no-parallel-scavenge");
  const { enableCompileCache, flushCompileCache } = await import("node:module");
  enableCompileCache?.();
  const source = new URL("../src/main.ts", import.meta.url);
  const { main } = await import(existsSync(source) ? source.href : new URL("../dist/main.js", import.meta.url).href);
  // A killed process never writes the cache, and daemons end that way.
  setTimeout(() => flushCompileCache?.(), 2_000).unref();
  await main(process.argv.slice(2));
}

async function replaceNode() {
  const pinned = fileURLToPath(new URL("../node_modules/node/bin/node", import.meta.url));
  // A pinned one that is too old itself would start itself for ever.
  if (!existsSync(pinned) || realpathSync(pinned) === realpathSync(process.execPath)) {
    process.stderr.write(
      `doorward: Node ${process.versions.node} is too old; install Node ${OLDEST.major}.${OLDEST.minor} or newer` +
        ", or run `npm ci` in a checkout, which brings one\n",
    );
    process.exit(1);
  }
  const { spawn } = await import("node:child_process");
  const child = spawn(pinned, process.argv.slice(1), { stdio: "inherit" });
  // The terminal sends its signals to both; the child decides when to end.
  process.on("SIGINT", () => {});
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP"])) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(`doorward: the pinned Node does not start: ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
