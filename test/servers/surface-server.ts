/**
 * An MCP server that offers what a file says, as it is read at each question: `node surface-server.ts SURFACE.json`.
 *
 * When the file changes it says that its lists did, so that a running server changes too. It imports nothing but Node.
 */
import { readFileSync, watchFile } from "node:fs";
import { createInterface } from "node:readline";

// biome-ignore lint/suspicious/noExplicitAny: a double that says what it is told to
type Json = any;

const file = process.argv[2]!;
const surface = (): Json => JSON.parse(readFileSync(file, "utf8"));
const write = (message: Json) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
const LISTS: Record<string, string> = {
  "tools/list": "tools",
  "prompts/list": "prompts",
  "resources/templates/list": "resourceTemplates",
};

function answer(method: string, params: Json): Json {
  const list = LISTS[method];
  if (list !== undefined) return { [list]: surface()[list] ?? [] };
  switch (method) {
    case "initialize":
      return {
        protocolVersion: params.protocolVersion,
        capabilities: { tools: { listChanged: true }, prompts: {}, resources: {} },
        serverInfo: { name: "surface", version: "1.0.0" },
        instructions: surface().instructions,
      };
    case "resources/list":
      return { resources: [] };
    case "tools/call":
      return { content: [{ type: "text", text: `ran ${params.name}` }] };
    case "prompts/get":
      return { messages: [{ role: "user", content: { type: "text", text: `got ${params.name}` } }] };
  }
  return undefined;
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const result = answer(method, params);
  write(result === undefined ? { id, error: { code: -32_601, message: "Method not found" } } : { id, result });
});
watchFile(file, { interval: 20, persistent: false }, () => write({ method: "notifications/tools/list_changed" }));
