import { once } from "node:events";
import { createReadStream, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { memoryMb, type Program, runProgram, SERVER_CORE, spawnPinned, startProgram } from "./processes.ts";

const LAUNCHER = join(import.meta.dirname, "../bin/doorward.js");
const AGENT = "bench";

/** A home with one service, one agent and rules as a careful person writes them. */
export interface BenchHome {
  readonly home: string;
  /** The agent's key. */
  readonly key: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Makes a home through the command line alone, as a person would. */
export async function makeHome(folder: string, upstream: string): Promise<BenchHome> {
  const home = join(folder, "home");
  mkdirSync(home, { mode: 0o700, recursive: true });
  writeFileSync(join(home, "doorward.yaml"), rules(upstream), { mode: 0o600 });
  const env: NodeJS.ProcessEnv = { ...process.env, XDG_CONFIG_HOME: join(folder, "config") };
  delete env["DOORWARD_HOME"];
  delete env["DOORWARD_CONFIG"];
  const doorward = (...words: readonly string[]) => [process.execPath, LAUNCHER, ...words, "--home", home];
  await runProgram(doorward("init", "--yes", "--kek", `file:${join(folder, "kek")}`), { env });
  await runProgram(doorward("secret", "set", "bench", "--stdin"), {
    env,
    stdin: "sk-bench-0123456789abcdef0123456789abcdef",
  });
  const { key } = JSON.parse(await runProgram(doorward("agent", "key", AGENT, "--json"), { env })) as {
    readonly key: string;
  };
  return { home, key, env };
}

/** Starts the daemon. @param flags - For Node, such as `--cpu-prof`. */
export function startDaemon({ home, env }: BenchHome, flags: readonly string[] = []): Promise<Program> {
  const words = [process.execPath, ...flags, LAUNCHER, "serve", "--home", home, "--listen", "127.0.0.1:0"];
  return startProgram(words, { core: SERVER_CORE, env, ready: /ready on (http\S+)/ });
}

/** One start, as who started it sees it. */
export interface Start {
  /** Until the first line of output. */
  readonly milliseconds: number;
  /** The most memory held until then. */
  readonly peakMb: number;
}

/** Starts `doorward connect` and times its answer to `tools/list`, as a client sees it; also the most memory that it held. */
export async function timeConnect({ home, env }: BenchHome, core: number): Promise<Start> {
  const message = { jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: MODERN_META } };
  const begin = performance.now();
  const child = spawnPinned([process.execPath, LAUNCHER, "connect", "--agent", AGENT, "--home", home], { core, env });
  const ended = once(child, "exit");
  child.stdin!.write(`${JSON.stringify(message)}\n`);
  const line = await firstLine(child.stdout!);
  const milliseconds = performance.now() - begin;
  if (!line.includes("doorward_request")) throw new Error(`connect did not list the tools: ${line.slice(0, 200)}`);
  const peakMb = memoryMb(child.pid!, "VmHWM");
  child.stdin!.end();
  child.kill("SIGTERM");
  await ended;
  return { milliseconds, peakMb };
}

/** Times bare Node: from its start until the first line of a program of one line. */
export async function timeBareNode(core: number): Promise<Start> {
  const begin = performance.now();
  const child = spawnPinned([process.execPath, join(import.meta.dirname, "baseline-start.js")], { core });
  const ended = once(child, "exit");
  await firstLine(child.stdout!);
  const milliseconds = performance.now() - begin;
  const peakMb = memoryMb(child.pid!, "VmHWM");
  child.stdin!.end();
  await ended;
  return { milliseconds, peakMb };
}

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

/** Runs `doorward drill` on the daemon that is up. */
export async function drill(
  { home, env }: BenchHome,
  runs: number,
): Promise<{ readonly new_call_ms: Percentiles; readonly stream_ms: Percentiles; readonly audit_ok: boolean }> {
  const words = [process.execPath, LAUNCHER, "drill", "--runs", String(runs), "--json", "--home", home];
  return JSON.parse(await runProgram(words, { env }));
}

export const MODERN_META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
  "io.modelcontextprotocol/clientInfo": { name: "bench", version: "1" },
};

/** Counts the evidence on the disk: calls that were decided, and calls that ended with an answer. */
export async function countEvidence({ home }: BenchHome): Promise<{ decided: number; completed: number }> {
  const counts = { decided: 0, completed: 0 };
  const audit = join(home, "audit");
  for (const file of readdirSync(audit, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".jsonl")) continue;
    for await (const line of createInterface({ input: createReadStream(join(audit, file)) })) {
      const head = line.slice(0, 120);
      if (head.includes('"type":"call.decided"')) counts.decided++;
      else if (head.includes('"type":"call.completed"') && line.includes('"status":200')) counts.completed++;
    }
  }
  return counts;
}

function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(text);
    });
    stream.on("end", () => reject(new Error(`no answer: ${text}`)));
  });
}

function rules(upstream: string): string {
  return `version: 1
services:
  registrar:
    url: ${upstream}
    private: true
    credential: { kind: bearer, secret: "local:bench" }
    operations:
      domains:read: { effect: read, allow: [GET /domains, "GET /domains/{domain}", "GET /domains/{domain}/records"] }
      records:delete: { effect: destructive, allow: ["DELETE /domains/{domain}/records"] }
roles:
  dns-reader: { allow: ["registrar:domains:read"] }
  dns-editor: { extends: [dns-reader], allow: ["registrar:records:*"] }
agents:
  ${AGENT}: { roles: [dns-editor], networks: [127.0.0.0/8] }
policies:
  - { id: ask-before-destroying, effect: ask, on: "*", when: 'operation.effect == "destructive"', approvers: { quorum: 1 } }
  - { id: no-night-writes, effect: forbid, on: "*", when: 'operation.effect != "read" && (now.hour < 8 || now.hour >= 19)' }
`;
}
