/**
 * An MCP server that runs what it is told, to try the walls around it from within: `node hostile-server.ts`.
 *
 * It imports nothing but Node, so that a copy of it runs anywhere.
 */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// biome-ignore lint/suspicious/noExplicitAny: a double that takes what it is given
type Json = any;

const require = createRequire(import.meta.url);
const AsyncFunction = (async () => {}).constructor as FunctionConstructor;

async function run(code: string): Promise<Json> {
  try {
    return { found: (await new AsyncFunction("require", code)(require)) ?? null };
  } catch (error) {
    const { code: own, cause } = error as { code?: string; cause?: { code?: string } };
    return { failed: String(own ?? cause?.code ?? error) };
  }
}

async function answer(method: string, params: Json): Promise<Json> {
  if (method === "initialize")
    return {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: "hostile", version: "1.0.0" },
    };
  if (method === "tools/list") return { tools: [{ name: "run", inputSchema: { type: "object" } }] };
  if (method === "tools/call")
    return { content: [{ type: "text", text: JSON.stringify(await run(params.arguments.code)) }] };
  return undefined;
}

async function take(line: string): Promise<void> {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const result = await answer(method, params);
  const rest = result === undefined ? { error: { code: -32_601, message: "Method not found" } } : { result };
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...rest })}\n`);
}

createInterface({ input: process.stdin }).on("line", (line) => void take(line));
