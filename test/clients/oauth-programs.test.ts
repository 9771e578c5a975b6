/** Programs that people use as MCP clients log in against a fresh install: nothing is set up for them, and nobody types. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeHome, startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { freePort } from "../harness/free-port.testing.ts";
import { run } from "../harness/run.testing.ts";
import { CLAUDE_QUIET, installClient } from "./install-client.testing.ts";
import { logInHeadless } from "./log-in-headless.testing.ts";

const inspector = await installClient("inspector");
const claude = await installClient("claude");
const CONFIG = `version: 1
services:
  registrar:
    url: http://127.0.0.1:9
    private: true
    operations: { domains:read: { effect: read, allow: [GET /domains] } }
roles: { reader: { allow: ["registrar:*"] } }
agents: {}
`;

describe("programs that log in", () => {
  const stack = new AsyncDisposableStack();
  let home: TestHome;
  let daemon: TestDaemon;
  before(async () => {
    home = stack.use(await makeHome({ config: CONFIG }));
    daemon = stack.use(await startDaemon(home));
  });
  after(() => stack.disposeAsync());

  /** The person's side: who registered by that name, adopted as an agent. */
  async function adopt(name: RegExp, agent: string): Promise<void> {
    const clients = await home.json<{ client_id: string; name: string }[]>(["agent", "clients"]);
    const mine = clients.find((client) => name.test(client.name));
    assert.ok(mine !== undefined, JSON.stringify(clients));
    await home.json(["agent", "adopt", mine.client_id, "--as", agent, "--role", "reader"]);
  }

  function ownHome(name: string): NodeJS.ProcessEnv {
    const folder = join(home.folder, name);
    mkdirSync(folder);
    return { ...home.env, HOME: folder, BROWSER: "true" };
  }

  test("inspector --cli logs in, lists nothing, and lists once it is adopted", {
    skip: inspector.cannotRun,
  }, async () => {
    const env = { ...ownHome("inspector"), MCP_AUTO_OPEN_ENABLED: "true", MCP_INSPECTOR_SECRET_STORE: "file" };
    const list = ["--cli", `${daemon.url}/mcp`, "--transport", "http", "--method", "tools/list"];
    const callback = ["--callback-url", `http://127.0.0.1:${await freePort()}/oauth/callback`];
    const first = await logInHeadless(home, [process.execPath, inspector.program, ...list, ...callback], env);
    assert.equal(first.status, 0, first.said);
    assert.match(first.said, /"tools": \[\]/, "nobody adopted it yet");
    await adopt(/^MCP Inspector/, "inspector");
    const again = await run(process.execPath, [inspector.program, ...list, "--stored-auth-only"], { env });
    assert.equal(again.status, 0, again.stderr);
    assert.match(again.stdout, /"doorward_request"/);
  });

  test("Claude Code logs in, and is connected", { skip: claude.cannotRun }, async () => {
    const env = { ...ownHome("claude"), ...CLAUDE_QUIET };
    const mcp = (...words: readonly string[]) => run(process.execPath, [claude.program, "mcp", ...words], { env });
    const added = await mcp("add", "--transport", "http", "--scope", "user", "door", `${daemon.url}/mcp`);
    assert.equal(added.status, 0, added.stderr);
    assert.match((await mcp("list")).stdout, /door: .* Needs authentication/);
    // It logs in at a terminal alone.
    const login = `'${process.execPath}' '${claude.program}' mcp login --no-browser door`;
    const { status, said } = await logInHeadless(home, ["script", "-qec", login, "/dev/null"], env);
    assert.equal(status, 0, said);
    assert.match(said, /Authenticated with "door"/);
    await adopt(/^Claude Code/, "claude");
    assert.match((await mcp("list")).stdout, /door: .* ✔ Connected/);
  });
});
