/** Servers in their sandbox behind a real daemon: what they see of it, and where they get to. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Client } from "@modelcontextprotocol/client";
import { type Double, everythingOf, replyJson, startDouble } from "../harness/double.testing.ts";
import { evidenceText } from "../laws/stage.testing.ts";
import { cannotRun } from "../sandbox/live-sandbox.ts";
import { openServerStage, packageScript, type ServerStage, textOf } from "./stage.testing.ts";

const KEY = "ghp_N7cVb2XkQ9sLw4TzRf8YpJ6mDh3GuA1eKo5i";
const CANARY = "canary-of-the-daemon-5f1c";
const EVERYTHING = "@modelcontextprotocol/server-everything";

describe("a server in its sandbox", { skip: cannotRun }, () => {
  const stack = new AsyncDisposableStack();
  let api: Double;
  let other: Double;
  let stage: ServerStage;
  let probing: Client;
  before(async () => {
    api = stack.use(
      await startDouble((request, response) =>
        replyJson(response, 200, { echo: everythingOf(request) }, { "x-echo": request.headers.authorization ?? "" }),
      ),
    );
    other = stack.use(await startDouble((_, response) => replyJson(response, 200, { other: true })));
    const host = new URL(api.url).host;
    const credential = `{ kind: env, name: API_KEY, secret: "local:api", hosts: ["${host}"] }`;
    stage = stack.use(
      await openServerStage({
        programs: [join(import.meta.dirname, "probing-server.ts")],
        services: (folder) => `  everything:
    mcp: { command: node, args: [${JSON.stringify(packageScript(EVERYTHING))}] }
    private: true
    credential: ${credential}
    operations: { all: { effect: read, tools: ["*"], prompts: ["*"], resources: ["*"] } }
  probing:
    mcp: { command: node, args: [${JSON.stringify(join(folder, "probing-server.ts"))}] }
    private: true
    credential: ${credential}
    operations: { all: { effect: read, tools: ["*"] } }
`,
        secrets: { api: KEY },
        environment: { DAEMON_CANARY: CANARY, GITHUB_TOKEN: `${CANARY}-token` },
      }),
    );
    probing = await stage.connect("/mcp/probing");
  });
  after(() => stack.disposeAsync());

  const ask = async (name: string, args: Record<string, unknown> = {}) =>
    // biome-ignore lint/suspicious/noExplicitAny: what a double says, judged field by field
    JSON.parse(await textOf(probing, name, args)) as { readonly found?: any; readonly failed?: string };

  /** What only the daemon knows. */
  const marks = () => [KEY, CANARY, stage.home.home, join(stage.home.folder, "kek"), stage.home.key("caller")];

  /** The text itself is never shown: where a test fails, it may hold what belongs to whoever runs it. */
  function holdsNothingOfTheDaemon(text: string): void {
    assert.deepEqual(
      marks().filter((mark) => text.includes(mark)),
      [],
    );
  }

  for (const [path, name] of [
    ["/mcp/everything", "get-env"],
    ["/mcp", "everything__get-env"],
  ] as const) {
    test(`server-everything's get-env on ${path} shows a placeholder and nothing of the daemon`, async () => {
      const text = await textOf(await stage.connect(path), name);
      holdsNothingOfTheDaemon(text);
      const env = JSON.parse(text) as Record<string, string>;
      assert.match(env["API_KEY"]!, /^ghp_[A-Za-z0-9]{36}$/);
      assert.equal(env["HOME"], "/tmp");
      for (const variable of ["DAEMON_CANARY", "GITHUB_TOKEN", "XDG_CONFIG_HOME"]) assert.ok(!(variable in env));
    });
  }

  test("no process that it sees has the daemon's environment, nor does the disk show its home", async () => {
    const { found } = await ask("searchEnvironments", { marks: marks() });
    assert.ok(found.readable > 0);
    assert.deepEqual(found.seen, []);
    for (const path of [stage.home.home, join(stage.home.folder, "kek"), "/root", "/etc/shadow", "/proc/1/root/root"]) {
      const seen = [await ask("read", { path }), await ask("list", { path })];
      for (const { failed } of seen) assert.match(failed ?? "", /^(ENOENT|EACCES|ENOTDIR|EPERM)$/, path);
    }
  });

  test("its request to a declared host leaves with the key put in, and comes back without", async () => {
    const { found } = await ask("request", {
      url: `${api.url}/repos?page=2`,
      headers: { authorization: "Bearer PLACEHOLDER" },
    });
    assert.equal(api.last().headers.authorization, `Bearer ${KEY}`);
    assert.equal(api.last().url, "/repos?page=2");
    assert.equal(found.status, 200);
    holdsNothingOfTheDaemon(JSON.stringify(found));
    holdsNothingOfTheDaemon(evidenceText(stage.home.home));
  });

  test("the evidence names the server, and the call during which it asked", async () => {
    await ask("request", { url: `${api.url}/during`, headers: { authorization: "Bearer PLACEHOLDER" } });
    const call = stage.evidence().findLast(({ type, agent }) => type === "call.decided" && agent === "caller");
    const own = stage.evidence().findLast(({ type, agent }) => type === "call.decided" && agent === "service:probing");
    assert.equal(call?.["service"], "probing");
    assert.equal(own?.decision, "permit");
    assert.equal(own?.["door"], "egress");
    assert.deepEqual(own?.["during"], [call?.request_id]);
    const completed = stage.evidence().filter(({ request_id }) => request_id === own?.request_id);
    assert.deepEqual(
      completed.map(({ type }) => type),
      ["call.decided", "call.completed"],
    );
  });

  test("the key does not leave in another place: refused, recorded, and the host sees nothing", async () => {
    const before = api.received.length;
    for (const request of [
      { url: `${api.url}/PLACEHOLDER` },
      { url: `${api.url}/?key=PLACEHOLDER` },
      { url: `${api.url}/`, headers: { "x-request-id": "PLACEHOLDER" } },
      { url: `${api.url}/`, method: "POST", body: '{"key":"PLACEHOLDER"}' },
    ]) {
      const { found } = await ask("request", request);
      assert.equal(found.status, 403, JSON.stringify(found));
      const problem = JSON.parse(found.text);
      assert.deepEqual([problem.code, problem.rule], ["denied", "placeholder:probing"]);
    }
    assert.equal(api.received.length, before);
  });

  test("it reaches no other port, name, address or notation through the door", async () => {
    const port = new URL(api.url).port;
    for (const url of [
      other.url,
      `http://localhost:${port}/`,
      `http://127.0.0.2:${port}/`,
      `http://[::1]:${port}/`,
      `http://0.0.0.0:${port}/`,
      "http://169.254.169.254/latest/meta-data/",
      "https://example.com/",
      stage.daemon().url,
    ]) {
      const { found, failed } = await ask("request", { url });
      assert.ok(found === undefined || found.status === 403, `${url}: ${JSON.stringify(found)}`);
      assert.ok(found !== undefined || failed !== undefined);
    }
    assert.equal(other.received.length, 0);
    const refused = stage
      .evidence()
      .filter(({ agent, decision }) => agent === "service:probing" && decision === "deny");
    assert.ok(refused.some((event) => JSON.stringify(event).includes("example.com")));
  });

  test("it reaches nothing past the door: no address, no name, no socket of the host", async () => {
    const { host } = new URL(api.url);
    const abstract = createServer().listen("\0doorward-test-abstract");
    try {
      const [address, port] = host.split(":");
      for (const target of [
        { host: address, port: Number(port) },
        { host: "1.1.1.1", port: 443 },
        { host: "127.0.0.1", port: Number(new URL(stage.daemon().url).port) },
        { path: join(stage.home.home, "doorward.sock") },
        { path: "\0doorward-test-abstract" },
        { path: "/var/run/docker.sock" },
      ]) {
        const { failed } = await ask("connect", target);
        assert.match(failed ?? "connected", /^(ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ENOENT|EACCES|EPERM)$/);
      }
      const resolved = await ask("resolve", { name: "example.com" });
      assert.match(resolved.failed ?? "resolved", /^(ENOTFOUND|EAI_AGAIN)$/);
    } finally {
      abstract.close();
    }
  });
});
