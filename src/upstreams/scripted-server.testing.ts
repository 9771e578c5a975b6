/**
 * An MCP server of 2025-11-25 on stdin and stdout, without an SDK, that does what its arguments and its tools' names say:
 * `exit-on-probe`, `mute`, `stubborn`, `newline-never`, `noisy-stderr`, `die`.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

// biome-ignore-start lint/suspicious/noExplicitAny: a double of a careless server
type Message = { id?: unknown; method?: string; params?: Record<string, any>; result?: any; error?: any };
type Params = Record<string, any>;
// biome-ignore-end lint/suspicious/noExplicitAny: a double of a careless server

const modes = new Set(process.argv.slice(2));
const waiting = new Map<unknown, (message: Message) => void>();
const write = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
const notify = (method: string, params: unknown) => write({ jsonrpc: "2.0", method, params });
const answer = (id: unknown, result: unknown) => write({ jsonrpc: "2.0", id, result });
const text = (value: string) => ({ content: [{ type: "text", text: value }] });
let nextAsk = 1;
/** Which of its tools it lists: `tools=a,b`. */
const listed = process.argv.find((word) => word.startsWith("tools="))?.slice("tools=".length);
let tools = listed?.split(",") ?? ["echo", "env", "slow"];
let cancelled = "none";
const updates = new Set<string>();

const ask = (method: string, params: unknown): Promise<Message> => {
  const id = `srv-${nextAsk++}`;
  write({ jsonrpc: "2.0", id, method, params });
  return new Promise((resolve) => waiting.set(id, resolve));
};

const form = (field: string) => ({
  message: "Who are you?",
  requestedSchema: { type: "object", properties: { [field]: { type: "string" } } },
});

const calls: Record<string, (id: unknown, params: Params) => unknown> = {
  echo: (id, { arguments: args }) => answer(id, text(JSON.stringify(args))),
  say: (id, { arguments: args }) => answer(id, args?.["result"]),
  env: (id) => answer(id, text(JSON.stringify(process.env))),
  slow: () => {},
  cancelled: (id) => answer(id, text(cancelled)),
  late: (id) => setTimeout(() => answer(id, text("late")), 50),
  progress(id, { _meta }) {
    for (const progress of [1, 2]) {
      notify("notifications/progress", {
        progressToken: _meta?.["progressToken"],
        progress,
        total: 2,
        message: "step",
      });
    }
    answer(id, text("done"));
  },
  log(id) {
    notify("notifications/message", { level: "info", data: "a line" });
    answer(id, text("logged"));
  },
  async ask(id) {
    const { result, error } = await ask("elicitation/create", form("nickname"));
    answer(id, text(JSON.stringify(result ?? error)));
  },
  async askTwice(id) {
    const first = await ask("elicitation/create", form("nickname"));
    const second = await ask("sampling/createMessage", { messages: [], maxTokens: 5 });
    answer(id, text(JSON.stringify([first.result, second.result ?? second.error])));
  },
  async askPassword(id) {
    const { result, error } = await ask("elicitation/create", form("password"));
    answer(id, text(JSON.stringify(result ?? error)));
  },
  async roots(id) {
    const { result, error } = await ask("roots/list", {});
    answer(id, text(JSON.stringify(result ?? error)));
  },
  big: (id, { arguments: args }) => answer(id, text("x".repeat(Number(args?.["bytes"])))),
  garbage(id) {
    process.stdout.write(
      'not json\n{"a":1,"a":2}\n[]\n{"jsonrpc":"2.0"}\n\u0000\n\n{"jsonrpc":"2.0","id":1,"result":{},"error":{}}\n',
    );
    answer(id, text("after garbage"));
  },
  raw: (id, { arguments: args }) =>
    void process.stdout.write(
      `{"note":"got","id":${id},"method":"tools/call"}\n{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":${args?.["json"]}}]}}\n`,
    ),
  wrongId(id) {
    answer(String(id), text("forged by text"));
    answer(Number(id) + 1_000, text("forged by number"));
    answer([id], text("forged by list"));
    answer(id, text("true"));
    answer(id, text("again"));
  },
  exit() {
    process.stderr.write("first line\nlast words of the server\n");
    setTimeout(() => process.exit(3), 20);
  },
  error: (id) => write({ jsonrpc: "2.0", id, error: { code: -32_050, message: "it went wrong", data: { hint: "x" } } }),
  change(id) {
    tools = [...tools, "added"];
    notify("notifications/tools/list_changed", {});
    answer(id, text("changed"));
  },
  touch(id, { arguments: args }) {
    notify("notifications/resources/updated", { uri: args?.["uri"] });
    answer(id, text("touched"));
  },
  flood(id) {
    const line = `${JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } })}\n`;
    const block = line.repeat(500);
    const more = () => {
      while (process.stdout.write(block));
      process.stdout.once("drain", more);
    };
    more();
    void id;
  },
};

async function handle(message: Message): Promise<void> {
  const { id, method, params = {} } = message;
  if (method === undefined) return waiting.get(id)?.(message);
  if (modes.has("mute")) return;
  switch (method) {
    case "server/discover":
      if (modes.has("exit-on-probe")) process.exit(1);
      return void write({ jsonrpc: "2.0", id, error: { code: -32_601, message: "Method not found" } });
    case "initialize":
      if (modes.has("die")) {
        process.stderr.write(`no key: ${process.argv.at(-1)}\n`);
        return void setTimeout(() => process.exit(7), 20);
      }
      if (modes.has("newline-never")) return endless();
      return void answer(id, {
        protocolVersion: "2025-11-25",
        capabilities: {
          tools: { listChanged: true },
          resources: { subscribe: true },
          prompts: {},
          completions: {},
          logging: {},
        },
        serverInfo: { name: "scripted", version: "1.0.0" },
        instructions: `asked for ${JSON.stringify(params["capabilities"])}`,
      });
    case "tools/list": {
      const start = Number(params["cursor"] ?? 0);
      const page = tools.slice(start, start + 2).map((name) => ({ name, inputSchema: { type: "object" } }));
      return void answer(id, { tools: page, ...(start + 2 < tools.length ? { nextCursor: String(start + 2) } : {}) });
    }
    case "prompts/list":
      return void answer(id, { prompts: [{ name: "greet" }] });
    case "resources/list":
      return void answer(id, { resources: [{ uri: "memo://one", name: "one" }] });
    case "resources/templates/list":
      return void write({ jsonrpc: "2.0", id, error: { code: -32_601, message: "Method not found" } });
    case "tools/call":
      await calls[params["name"]]?.(id, params);
      return;
    case "prompts/get":
      return void answer(id, {
        messages: [{ role: "user", content: { type: "text", text: `hello ${params["arguments"]?.who}` } }],
      });
    case "resources/read":
      return void answer(id, { contents: [{ uri: params["uri"], text: "memo" }] });
    case "resources/subscribe":
      updates.add(params["uri"]);
      return void answer(id, {});
    case "resources/unsubscribe":
      updates.delete(params["uri"]);
      return void answer(id, {});
    case "completion/complete":
      return void answer(id, { completion: { values: [params["argument"]?.value] } });
    case "notifications/cancelled":
      cancelled = String(params["requestId"]);
  }
}

function endless(): void {
  const block = "x".repeat(1024 * 1024);
  const more = () => {
    while (process.stdout.write(block));
    process.stdout.once("drain", more);
  };
  more();
}

if (modes.has("stubborn")) {
  process.on("SIGTERM", () => {});
  setInterval(() => {}, 1_000);
}
if (modes.has("fork")) spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line !== "") void handle(JSON.parse(line) as Message);
});
