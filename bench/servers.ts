/** What an MCP server that Doorward starts costs, beside the same server without Doorward. */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { createSandbox, systemFacts } from "../src/sandbox/create-sandbox.ts";
import { detectBubblewrap } from "../src/sandbox/detect-bubblewrap.ts";
import { startDaemon } from "./doorward.ts";
import { runProgram, SERVER_CORE, spawnPinned } from "./processes.ts";
import type { Row } from "./report.ts";
import { median } from "./statistics.ts";
import { modernRequest } from "./targets.ts";

const SERVER = join(import.meta.dirname, "mcp-server.js");
const LAUNCHER = join(import.meta.dirname, "../bin/doorward.js");
const AGENT = "bench";
const ADDED_START_LIMIT_MS = 50;

/** Measures calls and starts, direct and through Doorward in turns. @returns Nothing where there can be no sandbox. */
export async function measureMcpServers(
  folder: string,
  scale: { readonly calls: number; readonly starts: number },
): Promise<readonly Row[]> {
  const found = await detectBubblewrap(systemFacts(process.env["PATH"] ?? ""));
  if (!found.ok) return [];
  return [await measureCalls(folder, scale.calls), await measureStarts(folder, scale.starts)];
}

async function measureCalls(folder: string, calls: number): Promise<Row> {
  const home = await makeHome(join(folder, "servers"));
  await using daemon = await startDaemon(home);
  const child = spawnPinned([process.execPath, SERVER], { core: SERVER_CORE });
  const direct = talkTo({ stdin: child.stdin!, stdout: child.stdout! });
  const relayed = () => callRelayed(daemon.url, home.key);
  const directly = () => direct("tools/call", { name: "echo", arguments: {} });
  const spans = { direct: [] as number[], relayed: [] as number[] };
  for (let round = -calls / 4; round < calls; round++) {
    const [one, other] = [await timed(directly), await timed(relayed)];
    // The first ones start the server and warm what runs.
    if (round < 0) continue;
    spans.direct.push(one);
    spans.relayed.push(other);
  }
  child.stdin!.end();
  await once(child, "exit");
  const [bare, through] = [median(spans.direct), median(spans.relayed)];
  return {
    work: "p50 added to a tool call by relaying it: HTTP to a sandboxed server's pipe, at one connection",
    figure: `${(through - bare).toFixed(2)} ms`,
    beside: `${through.toFixed(2)} ms against ${bare.toFixed(2)} ms to the same server's pipe; ${calls} calls in turns`,
  };
}

async function measureStarts(folder: string, starts: number): Promise<Row> {
  const sandbox = createSandbox({ home: join(folder, "home"), path: process.env["PATH"] ?? "" });
  const socket = join(folder, "proxy.sock");
  const proxy = createServer().listen(socket);
  const spans = { bare: [] as number[], boxed: [] as number[] };
  for (let round = -2; round < starts; round++) {
    const bare = await timed(async () => {
      const child = spawnPinned([process.execPath, SERVER], {});
      await talkTo({ stdin: child.stdin!, stdout: child.stdout! })("initialize", {});
      child.stdin!.end();
    });
    const boxed = await timed(async () => {
      const child = await sandbox.start({
        service: "bench",
        command: process.execPath,
        args: [SERVER],
        cwd: undefined,
        env: new Map(),
        config: { mode: "strict", network: [], read: [], write: [], memoryBytes: 2 ** 29, cpu: 1, processes: 64 },
        programFiles: [dirname(SERVER), process.execPath],
        files: [],
        proxySocket: socket,
      });
      await talkTo(child)("initialize", {});
      void child.stop(0);
    });
    if (round < 0) continue;
    spans.bare.push(bare);
    spans.boxed.push(boxed);
  }
  proxy.close();
  const [bare, boxed] = [median(spans.bare), median(spans.boxed)];
  const added = boxed - bare;
  return {
    work: "added to the start of an MCP server by its sandbox, until it answers `initialize`",
    figure: `${added.toFixed(0)} ms`,
    beside: `${boxed.toFixed(0)} ms against ${bare.toFixed(0)} ms bare`,
    limit: { text: `≤ ${ADDED_START_LIMIT_MS} ms`, met: added <= ADDED_START_LIMIT_MS, required: true },
  };
}

async function makeHome(folder: string) {
  const home = join(folder, "home");
  mkdirSync(home, { mode: 0o700, recursive: true });
  writeFileSync(
    join(home, "doorward.yaml"),
    `version: 1
services:
  tools:
    mcp: { command: node, args: [${JSON.stringify(SERVER)}] }
    operations: { all: { effect: read, tools: ["*"] } }
roles: { caller: { allow: ["tools:*"] } }
agents: { ${AGENT}: { roles: [caller] } }
`,
    { mode: 0o600 },
  );
  const env: NodeJS.ProcessEnv = { ...process.env, XDG_CONFIG_HOME: join(folder, "config") };
  const doorward = (...words: readonly string[]) => [process.execPath, LAUNCHER, ...words, "--home", home];
  await runProgram(doorward("init", "--yes", "--kek", `file:${join(folder, "kek")}`), { env });
  const { key } = JSON.parse(await runProgram(doorward("agent", "key", AGENT, "--json"), { env })) as {
    readonly key: string;
  };
  return { home, key, env };
}

async function callRelayed(url: string, key: string): Promise<void> {
  const { url: door, method, headers, body = "" } = modernRequest(url, key, { name: "tools__echo", arguments: {} });
  const answer = await fetch(door, { method, headers, body });
  const text = await answer.text();
  if (!text.includes("xxxx")) throw new Error(`the call was answered with ${answer.status}: ${text.slice(0, 300)}`);
}

/** One request after the other over a server's pipes. */
function talkTo({ stdin, stdout }: { readonly stdin: Writable; readonly stdout: Readable }) {
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  let id = 0;
  return async (method: string, params: object): Promise<void> => {
    stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id: ++id, method, params })}\n`);
    const { value, done } = await lines.next();
    if (done === true || !String(value).includes('"result"')) throw new Error(`${method} was answered with ${value}`);
  };
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}
