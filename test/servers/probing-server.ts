/**
 * An MCP server that does with its surroundings what it is asked to, and says what came of it: `node probing-server.ts`.
 *
 * It imports nothing but Node, so that a copy of it runs anywhere.
 */
import { lookup } from "node:dns/promises";
import { readdirSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";

// biome-ignore lint/suspicious/noExplicitAny: a double that takes what it is given
type Json = any;

const CONNECT_MS = 3_000;

const TOOLS: Record<string, (args: Json) => Promise<Json> | Json> = {
  env: () => process.env,
  /** `PLACEHOLDER` in a header, the URL or the body is the value of `API_KEY`. */
  async request({ url, headers = {}, method = "GET", body }) {
    const filled = (text: string) => text.replaceAll("PLACEHOLDER", process.env["API_KEY"] ?? "");
    const named = Object.entries(headers as Record<string, string>).map(([name, value]) => [name, filled(value)]);
    const answer = await fetch(filled(url), {
      method,
      headers: named as [string, string][],
      ...(body === undefined ? {} : { body: filled(body) }),
    });
    return { status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text() };
  },
  connect: ({ host, port, path }) =>
    new Promise((resolve, reject) => {
      const socket = path === undefined ? createConnection({ host, port }) : createConnection({ path });
      socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error("no answer")));
      socket.once("connect", () => {
        socket.destroy();
        resolve("connected");
      });
      socket.once("error", reject);
    }),
  resolve: async ({ name }) => (await lookup(name)).address,
  read: ({ path }) => readFileSync(path, "latin1"),
  list: ({ path }) => readdirSync(path),
  /**
   * Looks for marks in every environment that it can read, its own too. It says which it found and never what it read: where a
   * sandbox fails, that would be the secrets of whoever runs the tests.
   */
  searchEnvironments({ marks }) {
    const readable = readdirSync("/proc").flatMap((name) => {
      try {
        return /^\d+$/.test(name) ? [readFileSync(`/proc/${name}/environ`, "latin1")] : [];
      } catch {
        return [];
      }
    });
    return {
      readable: readable.length,
      seen: (marks as string[]).filter((mark) => readable.some((text) => text.includes(mark))),
    };
  },
};

async function call(name: string, args: Json): Promise<Json> {
  try {
    const found = (await TOOLS[name]?.(args)) ?? null;
    return { content: [{ type: "text", text: JSON.stringify({ found }) }] };
  } catch (error) {
    const { message, code, cause } = error as Error & { code?: string; cause?: { code?: string; message?: string } };
    const failed = code ?? cause?.code ?? cause?.message ?? message;
    return { content: [{ type: "text", text: JSON.stringify({ failed }) }] };
  }
}

async function answer(method: string, params: Json): Promise<Json> {
  if (method === "initialize")
    return {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: "probing", version: "1.0.0" },
    };
  if (method === "tools/list")
    return { tools: Object.keys(TOOLS).map((name) => ({ name, inputSchema: { type: "object" } })) };
  if (method === "tools/call") return call(params.name, params.arguments ?? {});
  return undefined;
}

createInterface({ input: process.stdin }).on("line", (line) => void reply(line));

async function reply(line: string): Promise<void> {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const result = await answer(method, params);
  const rest = result === undefined ? { error: { code: -32_601, message: "Method not found" } } : { result };
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...rest })}\n`);
}
