/**
 * The MCP server that the conformance suite expects, on stdin and stdout: `node fixture-server.ts legacy|modern`.
 *
 * It speaks one era alone, so that what stands between it and the suite is seen to speak both.
 */
import { createInterface } from "node:readline";

// biome-ignore lint/suspicious/noExplicitAny: what the suite sends, which judges the answers
type Json = { [key: string]: any };

interface Call {
  readonly args: Json;
  readonly capabilities: Json;
  readonly progressToken: unknown;
  readonly state: string | undefined;
  /** Asks the client: older clients while the call waits, newer ones by a result. */
  input(requests: Json, state?: string): Promise<Json>;
}

/** Thrown where a newer client must be asked by a result. */
class InputRequired extends Error {
  readonly result: Json;
  constructor(requests: Json, state: string | undefined) {
    super("input required");
    this.result = {
      resultType: "input_required",
      inputRequests: requests,
      ...(state === undefined ? {} : { requestState: state }),
    };
  }
}

class RpcError extends Error {
  readonly code: number;
  readonly data: Json | undefined;
  constructor(code: number, message: string, data?: Json) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

const modern = process.argv[2] === "modern";
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
const SERVER = { name: "fixture", version: "1.0.0" };
const write = (message: Json) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
const notify = (method: string, params: Json) => write({ method, params });
const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
const text = (value: string) => ({ content: [{ type: "text", text: value }] });
const form = (message: string, properties: Json) => ({
  method: "elicitation/create",
  params: { message, requestedSchema: { type: "object", properties, required: Object.keys(properties) } },
});
const sample = (question: string, maxTokens = 100) => ({
  method: "sampling/createMessage",
  params: { messages: [{ role: "user", content: { type: "text", text: question } }], maxTokens },
});
const NAME = { name: { type: "string" } };
const elicited = async ({ input }: Call, request: Json) => {
  const { answer } = await input({ answer: request });
  return text(`Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
};
const needs = ({ capabilities }: Call, capability: string) => {
  if (capabilities[capability] !== undefined) return;
  throw new RpcError(-32021, "a capability is missing", { requiredCapabilities: { [capability]: {} } });
};
const log = async (data: string) => notify("notifications/message", { level: "info", data });

const tools: Record<string, { readonly run: (call: Call) => Promise<Json> | Json; readonly schema?: Json }> = {
  test_simple_text: { run: () => text("This is a simple text response for testing.") },
  test_image_content: { run: () => ({ content: [{ type: "image", data: PNG, mimeType: "image/png" }] }) },
  test_audio_content: { run: () => ({ content: [{ type: "audio", data: WAV, mimeType: "audio/wav" }] }) },
  test_embedded_resource: {
    run: () => ({
      content: [
        {
          type: "resource",
          resource: {
            uri: "test://embedded-resource",
            mimeType: "text/plain",
            text: "This is an embedded resource content.",
          },
        },
      ],
    }),
  },
  test_multiple_content_types: {
    run: () => ({
      content: [
        { type: "text", text: "Multiple content types test:" },
        { type: "image", data: PNG, mimeType: "image/png" },
        {
          type: "resource",
          resource: {
            uri: "test://mixed-content-resource",
            mimeType: "application/json",
            text: '{"test":"data","value":123}',
          },
        },
      ],
    }),
  },
  test_tool_with_logging: {
    async run() {
      await log("Tool execution started");
      await pause();
      await log("Tool processing data");
      await pause();
      await log("Tool execution completed");
      return text("done");
    },
  },
  test_logging_tool: {
    async run() {
      await log("a line");
      return text("logged");
    },
  },
  test_tool_with_progress: {
    async run({ progressToken }) {
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined) notify("notifications/progress", { progressToken, progress, total: 100 });
        await pause();
      }
      return text("done");
    },
  },
  test_error_handling: {
    run: () => ({ ...text("This tool intentionally returns an error for testing"), isError: true }),
  },
  test_reconnection: { run: () => text("done") },
  test_sampling: {
    schema: { prompt: { type: "string" } },
    async run({ args, input }) {
      const { answer } = await input({ answer: sample(args["prompt"]) });
      return text(`LLM response: ${answer.content?.text}`);
    },
  },
  test_elicitation: {
    schema: { message: { type: "string" } },
    async run({ args, input }) {
      const { answer } = await input({
        answer: form(args["message"], {
          username: { type: "string", description: "User's response" },
          email: { type: "string", description: "User's email address" },
        }),
      });
      return text(`User response: ${JSON.stringify(answer)}`);
    },
  },
  test_elicitation_sep1034_defaults: {
    run: (call) =>
      elicited(
        call,
        form("Fill in", {
          name: { type: "string", default: "John Doe" },
          age: { type: "integer", default: 30 },
          score: { type: "number", default: 95.5 },
          status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
          verified: { type: "boolean", default: true },
        }),
      ),
  },
  test_elicitation_sep1330_enums: {
    run(call) {
      const plain = ["option1", "option2", "option3"];
      const titled = (word: string) =>
        ["First", "Second", "Third"].map((nth, i) => ({ const: `value${i + 1}`, title: `${nth} ${word}` }));
      return elicited(
        call,
        form("Choose", {
          untitledSingle: { type: "string", enum: plain },
          titledSingle: { type: "string", oneOf: titled("Option") },
          legacyEnum: {
            type: "string",
            enum: ["opt1", "opt2", "opt3"],
            enumNames: ["Option One", "Option Two", "Option Three"],
          },
          untitledMulti: { type: "array", items: { type: "string", enum: plain } },
          titledMulti: { type: "array", items: { anyOf: titled("Choice") } },
        }),
      );
    },
  },
  test_streaming_elicitation: {
    async run(call) {
      const { answer } = await call.input({ answer: form("Go on?", { ok: { type: "boolean" } }) });
      return text(JSON.stringify(answer));
    },
  },
  test_missing_capability: {
    async run(call) {
      needs(call, "sampling");
      return text("there");
    },
  },
  test_trigger_tool_change: {
    run() {
      notify("notifications/tools/list_changed", {});
      return text("changed");
    },
  },
  test_trigger_prompt_change: {
    run() {
      notify("notifications/prompts/list_changed", {});
      return text("changed");
    },
  },
  test_input_required_result_elicitation: {
    async run({ input }) {
      const { user_name: answer } = await input({ user_name: form("What is your name?", NAME) });
      return text(`Hello, ${answer.content?.name}!`);
    },
  },
  test_input_required_result_sampling: {
    async run({ input }) {
      const { capital_question: answer } = await input({ capital_question: sample("What is the capital of France?") });
      return text(`${answer.content?.text}`);
    },
  },
  test_input_required_result_list_roots: {
    async run({ input }) {
      const { client_roots: answer } = await input({ client_roots: { method: "roots/list", params: {} } });
      return text(JSON.stringify(answer.roots));
    },
  },
  test_input_required_result_request_state: {
    async run({ input, state }) {
      await input({ confirm: form("Please confirm", { ok: { type: "boolean" } }) }, "the-state");
      return text(!modern || state === "the-state" ? "state-ok" : `state ${state}`);
    },
  },
  test_input_required_result_multiple_inputs: {
    async run({ input }) {
      const answers = await input(
        {
          user_name: form("What is your name?", NAME),
          greeting: sample("Generate a greeting", 50),
          client_roots: { method: "roots/list", params: {} },
        },
        "multiple",
      );
      return text(JSON.stringify(answers));
    },
  },
  test_input_required_result_multi_round: {
    async run({ input, state }) {
      const step1 = { step1: form("Step 1: What is your name?", NAME) };
      const step2 = { step2: form("Step 2: What is your favorite color?", { color: { type: "string" } }) };
      if (state !== "round-2") await input(step1, "round-1");
      const answers = await input(step2, "round-2");
      return text(JSON.stringify(answers));
    },
  },
  test_input_required_result_tampered_state: {
    async run({ input, state }) {
      await input({ confirm: form("Please confirm", { ok: { type: "boolean" } }) }, "signed");
      if (modern && state !== "signed") throw new RpcError(-32602, "the state was changed");
      return text("untouched");
    },
  },
  test_input_required_result_capabilities: {
    async run({ input, capabilities }) {
      const wanted = {
        ...(capabilities["sampling"] === undefined ? {} : { question: sample("What is it?") }),
        ...(capabilities["elicitation"] === undefined ? {} : { name: form("Who?", NAME) }),
      };
      return text(JSON.stringify(await input(wanted)));
    },
  },
  json_schema_2020_12_tool: { run: () => text("done") },
  test_custom_headers_tool: { run: ({ args }) => text(JSON.stringify(args)) },
};

/** Schemas that are more than properties. */
const SCHEMAS: Record<string, Json> = {
  json_schema_2020_12_tool: {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    $defs: {
      address: {
        $anchor: "addressDef",
        type: "object",
        properties: { street: { type: "string" }, city: { type: "string" } },
      },
    },
    properties: {
      name: { type: "string" },
      address: { $ref: "#/$defs/address" },
      contactMethod: { type: "string", enum: ["phone", "email"] },
      phone: { type: "string" },
      email: { type: "string" },
    },
    allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
    if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
    // biome-ignore lint/suspicious/noThenProperty: the word of JSON Schema
    then: { required: ["phone"] },
    else: { required: ["email"] },
    additionalProperties: false,
  },
  test_custom_headers_tool: {
    type: "object",
    properties: { region: { type: "string", "x-mcp-header": "Region" } },
    required: ["region"],
  },
};

const user = (content: Json) => ({ messages: [{ role: "user", content }] });
const prompts: Record<
  string,
  { readonly get: (call: Call) => Promise<Json> | Json; readonly args?: readonly string[] }
> = {
  test_simple_prompt: { get: () => user({ type: "text", text: "This is a simple prompt for testing." }) },
  test_prompt_with_arguments: {
    args: ["arg1", "arg2"],
    get: ({ args }) =>
      user({ type: "text", text: `Prompt with arguments: arg1='${args["arg1"]}', arg2='${args["arg2"]}'` }),
  },
  test_prompt_with_embedded_resource: {
    args: ["resourceUri"],
    get: ({ args }) => ({
      messages: [
        {
          role: "user",
          content: {
            type: "resource",
            resource: {
              uri: args["resourceUri"],
              mimeType: "text/plain",
              text: "Embedded resource content for testing.",
            },
          },
        },
        { role: "user", content: { type: "text", text: "Please process the embedded resource above." } },
      ],
    }),
  },
  test_prompt_with_image: {
    get: () => ({
      messages: [
        { role: "user", content: { type: "image", data: PNG, mimeType: "image/png" } },
        { role: "user", content: { type: "text", text: "Please analyze the image above." } },
      ],
    }),
  },
  test_input_required_result_prompt: {
    async get({ input }) {
      const context = { context: { type: "string" } };
      const { user_context: answer } = await input({
        user_context: form("What context should the prompt use?", context),
      });
      return user({ type: "text", text: `In the context of ${answer.content?.context}` });
    },
  },
};

const RESOURCES: Record<string, Json> = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text resource." },
  "test://static-binary": { mimeType: "image/png", blob: PNG },
  "test://watched-resource": { mimeType: "text/plain", text: "Watched" },
};

function read(uri: string): Json {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  const made = {
    mimeType: "application/json",
    text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
  };
  const content = RESOURCES[uri] ?? (id === undefined ? undefined : made);
  if (content === undefined) throw new RpcError(modern ? -32602 : -32002, "Resource not found", { uri });
  return { contents: [{ uri, ...content }] };
}

const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
  logging: {},
};
const LISTS: Record<string, () => Json> = {
  "tools/list": () => ({
    tools: Object.entries(tools).map(([name, { schema = {} }]) => ({
      name,
      description: `The suite's ${name}`,
      inputSchema: SCHEMAS[name] ?? { type: "object", properties: schema },
    })),
  }),
  "prompts/list": () => ({
    prompts: Object.entries(prompts).map(([name, { args = [] }]) => ({
      name,
      description: `The suite's ${name}`,
      arguments: args.map((each) => ({ name: each, description: each, required: true })),
    })),
  }),
  "resources/list": () => ({
    resources: Object.keys(RESOURCES).map((uri) => ({
      uri,
      name: uri,
      description: uri,
      ...{ mimeType: RESOURCES[uri]!["mimeType"] },
    })),
  }),
  "resources/templates/list": () => ({
    resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "template", description: "By id" }],
  }),
};

let clientCapabilities: Json = {};
let asked = 0;
const waiting = new Map<unknown, (message: Json) => void>();

async function askOlder(requests: Json): Promise<Json> {
  const answers: Json = {};
  for (const [key, request] of Object.entries(requests)) {
    const id = `fixture-${++asked}`;
    write({ id, ...(request as Json) });
    const { result, error } = await new Promise<Json>((resolve) => waiting.set(id, resolve));
    if (error !== undefined) throw new RpcError(-32603, `the client cannot: ${error.message}`);
    answers[key] = result;
  }
  return answers;
}

function callOf(params: Json): Call {
  const meta = params["_meta"] ?? {};
  const given: Json = params["inputResponses"] ?? {};
  return {
    args: params["arguments"] ?? {},
    capabilities: modern ? (meta["io.modelcontextprotocol/clientCapabilities"] ?? {}) : clientCapabilities,
    progressToken: meta["progressToken"],
    state: params["requestState"],
    async input(requests, state) {
      if (!modern) return askOlder(requests);
      const answered = Object.keys(requests).every((key) => typeof given[key] === "object" && given[key] !== null);
      if (!answered) throw new InputRequired(requests, state);
      return given;
    },
  };
}

async function serve(method: string, params: Json): Promise<Json> {
  const list = LISTS[method];
  if (list !== undefined) return { ...list(), ...(modern ? { ttlMs: 0, cacheScope: "private" } : {}) };
  switch (method) {
    case "server/discover":
      if (!modern) break;
      return { supportedVersions: ["2026-07-28"], capabilities: CAPABILITIES, ttlMs: 0, cacheScope: "private" };
    case "initialize":
      if (modern) break;
      clientCapabilities = params["capabilities"] ?? {};
      return { protocolVersion: params["protocolVersion"], capabilities: CAPABILITIES, serverInfo: SERVER };
    case "ping":
    case "logging/setLevel":
    case "resources/subscribe":
    case "resources/unsubscribe":
      if (modern) break;
      return {};
    case "tools/call": {
      const tool = tools[params["name"]];
      if (tool === undefined) throw new RpcError(-32602, "there is no such tool");
      return tool.run(callOf(params));
    }
    case "prompts/get": {
      const prompt = prompts[params["name"]];
      if (prompt === undefined) throw new RpcError(-32602, "there is no such prompt");
      return prompt.get(callOf(params));
    }
    case "resources/read":
      return { ...read(params["uri"]), ...(modern ? { ttlMs: 0, cacheScope: "private" } : {}) };
    case "completion/complete":
      return { completion: { values: ["paris", "park", "party"], total: 3, hasMore: false } };
  }
  throw new RpcError(-32601, `there is no ${method}`);
}

async function handle(message: Json): Promise<void> {
  const { id, method, params = {} } = message;
  if (method === undefined) return waiting.get(id)?.(message);
  if (id === undefined) return;
  if (method === "subscriptions/listen" && modern) {
    const meta = { "io.modelcontextprotocol/subscriptionId": id };
    notify("notifications/subscriptions/acknowledged", { notifications: params.notifications, _meta: meta });
    return;
  }
  try {
    const result = await serve(method, params);
    write({ id, result: modern ? { resultType: "complete", ...result } : result });
  } catch (error) {
    if (error instanceof InputRequired) {
      write({ id, result: error.result });
      return;
    }
    const { code, data } = error instanceof RpcError ? error : { code: -32603, data: undefined };
    write({ id, error: { code, message: String((error as Error).message), ...(data === undefined ? {} : { data }) } });
  }
}

createInterface({ input: process.stdin }).on("line", (line) => void handle(JSON.parse(line)));
