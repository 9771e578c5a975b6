/**
 * What the suite takes for a client under test: `node upstream-client.ts URL`. It makes the suite's server an upstream of a
 * running Doorward and uses it through `/mcp/SERVICE`, so that what the suite judges is Doorward's own client.
 *
 * `DOORWARD_TEST_URL`, `_PID`, `_KEY` and `_CONFIG` name the daemon, its caller's key, and its file of rules.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { DOORWARD } from "../harness/daemon.testing.ts";
import { run } from "../harness/run.testing.ts";

type Json = Record<string, unknown>;

const given = (name: string): string => process.env[name] ?? "";
const url = process.argv.at(-1)!;
const scenario = given("MCP_CONFORMANCE_SCENARIO");
const revision = given("MCP_CONFORMANCE_PROTOCOL_VERSION");
const context = JSON.parse(given("MCP_CONFORMANCE_CONTEXT") || "{}") as {
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: Json }[];
};
const service = `${scenario.replace(/[^a-z0-9]+/g, "-")}-${revision.replaceAll("-", "")}`;
const SIGN_INS_MAX = 2;
const CREDENTIAL = "\n    credential: { kind: oauth2 }";
const CAPABILITIES = { elicitation: { form: {} }, sampling: {}, roots: {} };

/** The suite ends the shell around this program, and not this program. */
const DEADLINE_MS = 20_000;
setTimeout(() => process.exit(1), DEADLINE_MS).unref();

await addService();
const { client, transport } = await connect();
const tools = await attempt(async () => (await client.listTools()).tools, []);
for (const call of callsOf()) await attempt(() => client.callTool(call), undefined);
for (const { name } of await attempt(async () => (await client.listPrompts()).prompts, []))
  await attempt(() => client.getPrompt({ name }), undefined);
for (const { uri } of await attempt(async () => (await client.listResources()).resources, []))
  await attempt(() => client.readResource({ uri }), undefined);
// With the session ends what Doorward holds open for it; the suite waits for that.
await attempt(() => transport.terminateSession(), undefined);
await client.close();

/** The rules of this run alone: the suite's servers of earlier ones are gone. */
async function addService(): Promise<void> {
  writeFileSync(
    given("DOORWARD_TEST_CONFIG"),
    `version: 1
services:
  ${service}:
    mcp: { url: ${JSON.stringify(url)} }
    private: true${scenario.startsWith("auth/") ? CREDENTIAL : ""}
    operations: { all: { effect: write, tools: ["*"], prompts: ["*"], resources: ["*"] } }
roles: { all: { allow: ["*"] } }
agents: { suite: { roles: [all] } }
`,
  );
  process.kill(Number(given("DOORWARD_TEST_PID")), "SIGHUP");
}

/** Signs in as a person does: at the suite's server, which asks nobody. */
async function signIn(): Promise<void> {
  const words = [
    "service",
    "login",
    service,
    "--no-wait",
    "--json",
    "--home",
    join(given("DOORWARD_TEST_CONFIG"), ".."),
  ];
  for (;;) {
    const { status, stdout, stderr } = await run(process.execPath, [DOORWARD, ...words], { env: process.env });
    if (status !== 0 && stderr.includes("there is no service")) continue;
    if (status !== 0) return console.error(stderr);
    const opened = await fetch((JSON.parse(stdout) as { readonly url: string }).url, { redirect: "manual" });
    const [cookie = ""] = (opened.headers.getSetCookie()[0] ?? "").split(";");
    const answer = await fetch(opened.headers.get("location") ?? "", { redirect: "manual" });
    const back = answer.headers.get("location");
    if (back === null) return console.error(await answer.text());
    return console.error(await (await fetch(back, { headers: { cookie } })).text());
  }
}

/** Until the new rules are in force there is no such service; and a person signs in when told to, also when a sign-in is over. */
async function connect() {
  for (let signIns = 0; ; ) {
    const client = newClient();
    const headers = { authorization: `Bearer ${given("DOORWARD_TEST_KEY")}` };
    const door = new URL(`${given("DOORWARD_TEST_URL")}/mcp/${service}`);
    try {
      const transport = new StreamableHTTPClientTransport(door, { requestInit: { headers } });
      await client.connect(transport);
      return { client, transport };
    } catch (error) {
      if (String(error).includes("doorward service login") && signIns++ < SIGN_INS_MAX) await signIn();
      else if (!String(error).includes("unknown_service")) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function newClient(): Client {
  const mode = revision === "2026-07-28" ? "auto" : "legacy";
  const made = new Client(
    { name: "suite", version: "1" },
    { capabilities: CAPABILITIES, versionNegotiation: { mode } },
  );
  made.setRequestHandler("elicitation/create", ({ params }) => {
    const { properties = {} } =
      (params as { requestedSchema?: { properties?: Record<string, Json> } }).requestedSchema ?? {};
    const defaults = Object.entries(properties).map(([name, { default: value }]) => [name, value ?? true]);
    return { action: "accept" as const, content: Object.fromEntries(defaults) };
  });
  made.setRequestHandler("sampling/createMessage", () => ({
    model: "none",
    role: "assistant" as const,
    content: { type: "text" as const, text: "said" },
  }));
  made.setRequestHandler("roots/list", () => ({ roots: [] }));
  return made;
}

/** What the suite wants to be called, or else each tool once, with what its name asks for. */
function callsOf(): readonly { readonly name: string; readonly arguments: Json }[] {
  if (context.toolCalls !== undefined) return context.toolCalls;
  const schema = tools.find(({ name }) => name === "json_schema_2020_12_tool")?.inputSchema;
  const known: Record<string, Json> = { add_numbers: { a: 5, b: 3 }, json_schema_echo: { schema } };
  return tools.map(({ name }) => ({ name, arguments: known[name] ?? { value: "x", region: "eu" } }));
}

/** What cannot be done is for the suite to judge. */
async function attempt<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    console.error(String(error));
    return otherwise;
  }
}
