import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { LOAD_CORE, runProgram } from "./processes.ts";

/** One request, repeated. */
export interface LoadRequest {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  /** With a `COUNT` in it where each request needs a number of its own; ASCII. */
  readonly body: string | undefined;
}

export interface LoadSpec {
  readonly request: LoadRequest;
  readonly connections: number;
  readonly seconds: number;
}

/** What a loader saw. Its field names are the wire form between the loaders and this file. */
export interface LoadResult {
  readonly calls: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly failed: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface Loader {
  readonly name: string;
  run(spec: LoadSpec): Promise<LoadResult>;
}

/** wrk where it is installed, else a loader of our own, which itself limits what can be measured. */
export function findLoader(folder: string): Loader {
  const found = spawnSync("wrk", ["-v"], { encoding: "utf8" });
  const [version] = `${found.stdout}${found.stderr}`.split(" [", 1);
  return found.error === undefined ? wrk(folder, version!) : ownLoader();
}

/** Sends a request once. @returns The answer, and what it weighed on the wire, head and all. */
export async function probe({
  url,
  method,
  headers,
  body,
}: LoadRequest): Promise<{ status: number; text: string; wireBytes: number; headers: IncomingMessage["headers"] }> {
  const request = httpRequest(url, { method, headers, agent: false });
  request.setHeader("connection", "keep-alive");
  request.end(body?.replace("COUNT", "1"));
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const { socket } = response;
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  socket.destroy();
  return { status: response.statusCode!, text, wireBytes: socket.bytesRead, headers: response.headers };
}

function wrk(folder: string, version: string): Loader {
  let scripts = 0;
  return {
    name: version,
    async run({ request, connections, seconds }) {
      const script = join(folder, `wrk-${scripts++}.lua`);
      writeFileSync(script, luaScript(request));
      const words = ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, request.url];
      const out = await runProgram(words, { core: LOAD_CORE });
      return JSON.parse(out.slice(out.indexOf("RESULT ") + 7)) as LoadResult;
    },
  };
}

function luaScript({ method, headers, body }: LoadRequest): string {
  const text = (value: string) => JSON.stringify(value);
  const lines = [`wrk.method = ${text(method)}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`wrk.headers[${text(name)}] = ${text(value)}`);
  const [before, after] = body?.split("COUNT") ?? [];
  if (body !== undefined && after === undefined) lines.push(`wrk.body = ${text(body)}`);
  if (before !== undefined && after !== undefined) {
    lines.push(
      "local n = 1",
      `request = function() n = n + 1; return wrk.format(nil, nil, nil, ${text(before)} .. n .. ${text(after)}) end`,
    );
  }
  lines.push(
    "done = function(summary, latency)",
    "  local e = summary.errors",
    `  io.write(string.format('RESULT {"calls":%d,"seconds":%f,"bytes":%d,"failed":%d,"p50Us":%d,"p99Us":%d}', summary.requests,`,
    "    summary.duration / 1e6, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))",
    "end",
  );
  return `${lines.join("\n")}\n`;
}

function ownLoader(): Loader {
  return {
    name: "bench/loader.ts (wrk is not installed; it costs as much as what it measures)",
    async run(spec) {
      const words = [process.execPath, join(import.meta.dirname, "loader.ts"), JSON.stringify(spec)];
      return JSON.parse(await runProgram(words, { core: LOAD_CORE })) as LoadResult;
    },
  };
}
