/** Programs that people use as MCP clients, with a key: they list and call an upstream server through `/mcp`. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { DOORWARD } from "../harness/daemon.testing.ts";
import { run } from "../harness/run.testing.ts";
import { cannotRun } from "../sandbox/live-sandbox.ts";
import {
  AGENT,
  openServerStage,
  packageScript,
  refusalOf,
  type ServerStage,
  textOf,
} from "../servers/stage.testing.ts";
import { CLAUDE_QUIET, installClient } from "./install-client.testing.ts";

const inspector = await installClient("inspector");
const claude = await installClient("claude");
const EVERYTHING = packageScript("@modelcontextprotocol/server-everything");

describe("programs with a key", { skip: cannotRun }, () => {
  const stack = new AsyncDisposableStack();
  let stage: ServerStage;
  before(async () => {
    stage = stack.use(
      await openServerStage({
        services: () => `  everything:
    mcp: { command: node, args: [${JSON.stringify(EVERYTHING)}] }
    operations: { some: { effect: read, tools: [echo, get-sum] } }
`,
      }),
    );
  });
  after(() => stack.disposeAsync());

  const url = () => `${stage.daemon().url}/mcp`;
  /** Whose call ran last, as the evidence has it. */
  const lastCall = () => stage.evidence().findLast(({ type }) => type === "call.completed");

  test("mcp-remote lists and calls", async () => {
    const proxy = fileURLToPath(import.meta.resolve("mcp-remote/dist/proxy.js"));
    const client = new Client({ name: "outside", version: "1" });
    // The header's value comes from a variable, as its users write it: a space in an argument is split by some clients.
    // biome-ignore lint/suspicious/noTemplateCurlyInString: mcp-remote fills it in
    const header = ["--header", "Authorization:${AUTH_HEADER}"];
    await client.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [proxy, url(), "--allow-http", "--transport", "http-only", ...header],
        env: {
          ...(stage.home.env as Record<string, string>),
          AUTH_HEADER: `Bearer ${stage.home.key(AGENT)}`,
          MCP_REMOTE_CONFIG_DIR: join(stage.home.folder, "mcp-remote"),
        },
        stderr: "ignore",
      }),
    );
    try {
      const names = (await client.listTools()).tools.map(({ name }) => name);
      assert.ok(names.includes("everything__echo") && names.includes("doorward_services"), names.join());
      assert.ok(!names.includes("everything__get-env"), "no operation names it");
      assert.equal(await textOf(client, "everything__echo", { message: "hello" }), "Echo: hello");
      assert.equal((await refusalOf(client, "everything__get-env"))["code"], "unknown_operation");
      assert.equal(lastCall()?.["agent"], AGENT);
    } finally {
      await client.close();
    }
  });

  async function mcporter(...words: readonly string[]) {
    const program = join(import.meta.dirname, "../../node_modules/mcporter/dist/cli.js");
    const [command = "", ...rest] = words;
    const server = ["--http-url", url(), "--allow-http", "--name", "door", "--no-oauth"];
    const key = ["--header", `Authorization=Bearer ${stage.home.key(AGENT)}`];
    const env = { ...stage.home.env, XDG_CONFIG_HOME: join(stage.home.folder, "mcporter") };
    return run(process.execPath, [program, command, ...server, ...key, ...rest], { env, cwd: stage.home.folder });
  }

  test("mcporter lists", async () => {
    const { status, stdout, stderr } = await mcporter("list", "--json");
    assert.equal(status, 0, stderr);
    assert.match(stdout, /"everything__get-sum"/);
    assert.doesNotMatch(stdout, /get-env/);
  });

  test("mcporter calls, and is told what is refused", async () => {
    const called = await mcporter("call", "--tool", "everything__get-sum", "--args", '{"a":2,"b":3}');
    assert.equal(called.status, 0, called.stdout + called.stderr);
    assert.match(called.stdout, /The sum of 2 and 3 is 5/);
    const refused = await mcporter("call", "--tool", "everything__get-env");
    assert.match(refused.stdout + refused.stderr, /unknown_operation/);
  });

  function inspect(era: string, ...words: readonly string[]) {
    const door = ["--cli", url(), "--transport", "http", "--protocol-era", era];
    const key = ["--header", `Authorization: Bearer ${stage.home.key(AGENT)}`];
    const env = { ...stage.home.env, HOME: stage.home.folder };
    return run(process.execPath, [inspector.program, ...door, ...key, ...words], { env, cwd: stage.home.folder });
  }

  for (const era of ["legacy", "modern"]) {
    test(`inspector --cli lists and calls, ${era}`, { skip: inspector.cannotRun }, async () => {
      const listed = await inspect(era, "--method", "tools/list");
      assert.equal(listed.status, 0, listed.stderr);
      const names = (JSON.parse(listed.stdout) as { tools: { name: string }[] }).tools.map(({ name }) => name);
      assert.ok(names.includes("everything__echo") && !names.includes("everything__get-env"), names.join());
      const call = ["--method", "tools/call", "--tool-name"];
      const called = await inspect(era, ...call, "everything__get-sum", "--tool-arg", "a=2", "b=3");
      assert.equal(called.status, 0, called.stderr);
      assert.match(called.stdout, /The sum of 2 and 3 is 5/);
      assert.equal(lastCall()?.["agent"], AGENT);
    });
  }

  test("Claude Code is connected over stdio", { skip: claude.cannotRun }, async () => {
    const own = join(stage.home.folder, "claude");
    mkdirSync(own);
    const options = { env: { ...stage.home.env, ...CLAUDE_QUIET, HOME: own }, cwd: own };
    const mcp = (...words: readonly string[]) => run(process.execPath, [claude.program, "mcp", ...words], options);
    const command = [process.execPath, DOORWARD, "connect", "--agent", AGENT, "--home", stage.home.home];
    const added = await mcp("add", "--scope", "user", "doorward", "--", ...command);
    assert.equal(added.status, 0, added.stderr);
    const { stdout } = await mcp("list");
    assert.match(stdout, /doorward: .* connect --agent caller .* ✔ Connected/);
  });
});
