/** The tour's claims, for an outside MCP client over HTTP and stdio in both eras, and for curl on `/api`. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Client } from "@modelcontextprotocol/client";
import { startDaemon, type TestDaemon, until } from "../harness/daemon.testing.ts";
import { run } from "../harness/run.testing.ts";
import {
  type Answer,
  BINARY,
  callTool,
  type Era,
  LONG_TEXT,
  type McpStage,
  openMcpStage,
  overHttp,
  overStdio,
  REGISTRAR_SECRET,
  RESPONSE_LIMIT,
} from "./mcp.testing.ts";

const stack = new AsyncDisposableStack();
let stage: McpStage;
let daemon: TestDaemon;
before(async () => {
  stage = stack.use(await openMcpStage());
  daemon = stack.use(await startDaemon(stage.home));
});
after(() => stack.disposeAsync());

const deletions = () => stage.registrar.received.filter((line) => line.startsWith("DELETE")).length;
const resume = () => stage.home.json(["resume", "agent:dns-bot", "--why", "next"]);

interface Way {
  readonly era: Era;
  connect(): Promise<Client>;
}

const WAYS: Readonly<Record<string, Way>> = {
  "over HTTP, 2026-07-28": {
    era: "auto",
    connect: async () => (await overHttp(daemon.url, stage.home.key("dns-bot"), "auto")).client,
  },
  "over HTTP, with a session": {
    era: "legacy",
    connect: async () => (await overHttp(daemon.url, stage.home.key("dns-bot"), "legacy")).client,
  },
  "over stdio, 2026-07-28": { era: "auto", connect: () => overStdio(stage.home, "dns-bot", "auto") },
  "over stdio, with `initialize`": { era: "legacy", connect: () => overStdio(stage.home, "dns-bot", "legacy") },
};

for (const [name, way] of Object.entries(WAYS)) {
  describe(`an outside MCP client ${name}`, () => {
    let client: Client;
    before(async () => {
      client = await way.connect();
    });
    after(() => client?.close());
    const request = (method: string, path: string, more: object = {}): Promise<Answer> =>
      callTool(client, "doorward_request", { service: "registrar", method, path, ...more });
    const double = (method: string, path: string, more: object = {}) =>
      callTool(client, "doorward_request", { service: "double", method, path, ...more });

    test("speaks the revision of its era", () => {
      assert.equal(client.getNegotiatedProtocolVersion(), way.era === "auto" ? "2026-07-28" : "2025-11-25");
    });

    test("lists the five tools, whose schemas have an input and an output", async () => {
      const { tools } = await client.listTools();
      assert.deepEqual(
        tools.map((tool) => tool.name),
        ["doorward_services", "doorward_request", "doorward_whoami", "doorward_explain", "doorward_status"],
      );
      for (const tool of tools)
        assert.deepEqual([tool.inputSchema.type, tool.outputSchema?.type], ["object", "object"]);
    });

    test("sees the services it may use, and only those operations", async () => {
      const { content, text } = await callTool(client, "doorward_services");
      const services = content["services"] as {
        name: string;
        kind: string;
        description: string;
        operations: { scope: string; effect: string; approval: string; endpoints: string[] }[];
      }[];
      const registrar = services.find((service) => service.name === "registrar")!;
      assert.deepEqual([registrar.kind, registrar.description], ["http", "Domains and DNS"]);
      assert.deepEqual(
        registrar.operations.map(({ scope, approval }) => [scope, approval]),
        [
          ["registrar:domains:read", "never"],
          ["registrar:records:delete", "always"],
          ["registrar:echo", "never"],
        ],
      );
      assert.ok(!text.includes(REGISTRAR_SECRET));
    });

    test("knows who it is", async () => {
      const { content } = await callTool(client, "doorward_whoami");
      assert.deepEqual(
        [content["agent"], content["tenant"], content["purposes"]],
        ["dns-bot", "acme", ["dns-automation"]],
      );
      assert.equal((content["token"] as Record<string, unknown>)["kind"], "api_key");
    });

    test("reads what a rule allows", async () => {
      const answer = await request("GET", "/domains");
      assert.equal(answer.content["status"], 200);
      assert.deepEqual(JSON.parse(String(answer.content["body"])), {
        domains: [{ domain: "example.com" }, { domain: "example.net" }],
      });
      assert.ok(!answer.text.includes(REGISTRAR_SECRET));
    });

    test("is denied a write, with rule or remedy, and can ask why", async () => {
      const before = stage.registrar.received.length;
      const { isError, error } = await request("POST", "/domains/example.com/records", {
        body: { type: "A", name: "x", value: "192.0.2.1" },
      });
      assert.deepEqual([isError, error["code"]], [true, "denied"]);
      assert.ok((error["remedy"] ?? "") !== "" && (error["message"] ?? "") !== "");
      assert.equal(stage.registrar.received.length, before);
      const why = await callTool(client, "doorward_explain", { request_id: error["request_id"] });
      assert.deepEqual([why.content["decision"], why.isError], ["deny", false]);
      const what = await callTool(client, "doorward_explain", {
        service: "registrar",
        method: "GET",
        path: "/domains",
      });
      assert.equal(what.content["decision"], "permit");
      assert.ok(
        (what.content["rules"] as { id: string; matched: boolean }[]).some(
          ({ id, matched }) => id === "role:dns-editor" && matched,
        ),
      );
    });

    test("is held for a destructive call, waits, and runs it once", async () => {
      const before = deletions();
      const call = () => request("DELETE", "/domains/example.com/records", { query: { type: "TXT" } });
      const { error } = await call();
      assert.equal(error["code"], "approval_required");
      for (const field of ["approval_id", "approval_url", "expires_at"]) assert.ok(error[field], field);
      const id = error["approval_id"]!;
      const other = await overHttp(daemon.url, stage.home.key("other"), "auto");
      assert.equal(
        (await callTool(other.client, "doorward_status", { id })).error["code"],
        "not_found",
        "not another agent's to see",
      );
      await other.client.close();
      const waiting = callTool(client, "doorward_status", { id, wait_seconds: 50 });
      const listed = await stage.home.json<Record<string, unknown>[]>(["approvals", "list", "--status", "pending"]);
      assert.deepEqual(
        listed.map((one) => [one["id"], one["agent"], one["service"], one["operation"]]),
        [[id, "dns-bot", "registrar", "records:delete"]],
      );
      assert.equal(deletions(), before);
      await stage.home.json(["approvals", "approve", id, "--once", "--why", "test"]);
      assert.equal((await waiting).content["status"], "granted");
      assert.equal((await call()).content["status"], 200);
      assert.equal(deletions(), before + 1);
      const again = await call();
      assert.equal(again.error["code"], "approval_required");
      assert.notEqual(again.error["approval_id"], id);
      await stage.home.json(["approvals", "deny", again.error["approval_id"]!, "--why", "enough"]);
      const denied = await call();
      assert.equal(denied.error["code"], "approval_denied");
      assert.match(denied.error["message"]!, /enough/);
      assert.equal(deletions(), before + 1);
    });

    test("does not get the key that the API echoes", async () => {
      const { content, text } = await request("GET", "/echo");
      assert.deepEqual([content["redacted"], text.includes(REGISTRAR_SECRET)], [1, false]);
    });

    test("gets binary as base64, and long text cut within whole characters", async () => {
      const binary = await double("GET", "/binary");
      assert.deepEqual(
        [binary.content["body_encoding"], binary.content["body"]],
        ["base64", BINARY.toString("base64")],
      );
      const long = await double("GET", "/long");
      const body = String(long.content["body"]);
      assert.deepEqual([long.content["truncated"], long.content["body_encoding"]], [true, "utf8"]);
      assert.ok(
        LONG_TEXT.startsWith(body) && Buffer.byteLength(body) <= RESPONSE_LIMIT && body.length > 1_000,
        `${body.length}`,
      );
    });

    test("sends a JSON value, a text with its type, and base64", async () => {
      const sent = async (value: unknown, headers = {}) => {
        const { content } = await double("POST", "/in", { body: value, headers });
        const { type, body } = JSON.parse(String(content["body"])) as { type: string; body: string };
        return { type, body };
      };
      assert.deepEqual(await sent({ a: [1, null, "ü"] }), {
        type: "application/json",
        body: Buffer.from('{"a":[1,null,"ü"]}').toString("base64"),
      });
      assert.deepEqual(await sent("a=1", { "content-type": "application/x-www-form-urlencoded" }), {
        type: "application/x-www-form-urlencoded",
        body: Buffer.from("a=1").toString("base64"),
      });
      assert.deepEqual(
        await sent({ base64: BINARY.toString("base64") }, { "content-type": "application/octet-stream" }),
        { type: "application/octet-stream", body: BINARY.toString("base64") },
      );
    });

    test("query arrays repeat their key; a key in path and query is refused", async () => {
      const { content } = await double("GET", "/in?a=1", { query: { b: ["x y", 2, true] } });
      assert.equal((JSON.parse(String(content["body"])) as { url: string }).url, "/in?a=1&b=x%20y&b=2&b=true");
      assert.equal((await double("GET", "/in?a=1", { query: { a: "2" } })).error["code"], "invalid_request");
    });

    test("a header that may not pass is refused, credentials too", async () => {
      for (const header of ["authorization", "cookie", "x-other", "x-http-method-override", "host"]) {
        assert.equal(
          (await double("GET", "/in", { headers: { [header]: "x" } })).error["code"],
          "header_refused",
          header,
        );
      }
    });

    test("cancels a call, and the vendor's side ends", async () => {
      const cancel = new AbortController();
      const before = stage.double.received.length;
      const call = callTool(
        client,
        "doorward_request",
        { service: "double", method: "GET", path: "/slow" },
        cancel.signal,
      );
      call.catch(() => {});
      await until(
        () => stage.double.received.length,
        (count) => count > before,
      );
      cancel.abort();
      await assert.rejects(call);
      await stage.slowEnded();
      assert.equal((await double("GET", "/in")).content["status"], 200, "the next call works");
    });

    test("an unknown tool is a protocol error", async () => {
      await assert.rejects(client.callTool({ name: "nothing", arguments: {} }), /no tool/);
    });

    test("is stopped by a kill, and goes on when it is lifted", async () => {
      await stage.home.json(["kill", "agent:dns-bot", "--why", "test"]);
      const { error } = await request("GET", "/domains");
      assert.deepEqual([error["code"], error["rule"]], ["killed", "kill:agent:dns-bot"]);
      await resume();
      assert.equal((await request("GET", "/domains")).content["status"], 200);
    });
  });
}

describe("sessions", () => {
  const head = (key: string, session?: string) => ({
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    ...(session === undefined ? {} : { "mcp-session-id": session, "mcp-protocol-version": "2025-11-25" }),
  });
  const post = (headers: Record<string, string>, message: object) =>
    fetch(`${daemon.url}/mcp`, { method: "POST", headers, body: JSON.stringify({ jsonrpc: "2.0", ...message }) });
  const open = async (key: string) => {
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1" } };
    const answer = await post(head(key), { id: 1, method: "initialize", params });
    await answer.text();
    return answer.headers.get("mcp-session-id")!;
  };

  test("another agent's session id is not found, with POST, GET and DELETE", async () => {
    const session = await open(stage.home.key("dns-bot"));
    const foreign = head(stage.home.key("other"), session);
    assert.equal((await post(foreign, { id: 2, method: "tools/list" })).status, 404);
    for (const method of ["GET", "DELETE"])
      assert.equal((await fetch(`${daemon.url}/mcp`, { method, headers: foreign })).status, 404, method);
    assert.equal(
      (await post(head(stage.home.key("dns-bot"), session), { id: 2, method: "tools/list" })).status,
      200,
      "its owner still has it",
    );
  });

  test("GET is a stream that DELETE ends, and the session with it", async () => {
    const headers = head(stage.home.key("dns-bot"), await open(stage.home.key("dns-bot")));
    const stream = await fetch(`${daemon.url}/mcp`, { headers });
    assert.deepEqual([stream.status, stream.headers.get("content-type")], [200, "text/event-stream"]);
    const ended = stream.text();
    assert.equal((await fetch(`${daemon.url}/mcp`, { method: "DELETE", headers })).status, 200);
    await ended;
    assert.equal((await post(headers, { id: 3, method: "tools/list" })).status, 404);
  });

  test("a revoked key ends with the next message", async () => {
    const { key, key_id } = await stage.home.json<{ key: string; key_id: string }>([
      "agent",
      "key",
      "other",
      "--print-only",
    ]);
    const session = await open(key);
    assert.equal((await post(head(key, session), { id: 2, method: "tools/list" })).status, 200);
    await stage.home.json(["agent", "revoke", key_id]);
    assert.equal((await post(head(key, session), { id: 3, method: "tools/list" })).status, 401);
  });
});

describe("curl on /api: the tour's claims", async () => {
  const missing = (await run("curl", ["--version"]).catch(() => undefined))?.status !== 0;
  const curl = async (method: string, path: string, ...more: string[]) => {
    const words = [
      "-s",
      "--noproxy",
      "*",
      "-X",
      method,
      "-H",
      `Authorization: Bearer ${stage.home.key("dns-bot")}`,
      "-w",
      "\n%{http_code}",
      ...more,
    ];
    const { stdout } = await run("curl", [...words, `${daemon.url}/api/registrar${path}`]);
    const [body = "", status] = stdout.split("\n");
    return { status: Number(status), body: JSON.parse(body) as Record<string, unknown>, text: stdout };
  };
  const skip = missing ? "curl is not installed" : false;

  test("an allowed read, a denied write, a key that is echoed", { skip }, async () => {
    assert.equal((await curl("GET", "/domains")).status, 200);
    const denied = await curl("POST", "/domains/example.com/records", "--json", '{"type":"A"}');
    assert.deepEqual([denied.status, denied.body["code"], typeof denied.body["remedy"]], [403, "denied", "string"]);
    const echo = await curl("GET", "/echo");
    assert.ok(echo.status === 200 && !echo.text.includes(REGISTRAR_SECRET));
  });

  test("a held call: approved, it runs once", { skip }, async () => {
    const before = deletions();
    const call = () => curl("DELETE", "/domains/example.net/records?type=A");
    const held = await call();
    assert.deepEqual([held.status, held.body["code"]], [403, "approval_required"]);
    await stage.home.json(["approvals", "approve", String(held.body["approval_id"])]);
    const twenty = await Promise.all(Array.from({ length: 20 }, call));
    assert.deepEqual([twenty.filter(({ status }) => status === 200).length, deletions()], [1, before + 1]);
  });

  test("an answer over the limit is a refusal, never a part that looks whole", { skip }, async () => {
    const words = [
      "-s",
      "--noproxy",
      "*",
      "-H",
      `Authorization: Bearer ${stage.home.key("dns-bot")}`,
      "-w",
      "\n%{http_code}",
    ];
    const { stdout, status } = await run("curl", [...words, `${daemon.url}/api/double/long`]);
    assert.ok(status !== 0 || stdout.endsWith("\n502"), stdout.slice(-80));
    if (status === 0) assert.match(stdout, /"code":"upstream_too_large"/);
  });

  test("a kill", { skip }, async () => {
    await stage.home.json(["kill", "operation:registrar:domains:read", "--why", "test"]);
    const killed = await curl("GET", "/domains");
    assert.deepEqual(
      [killed.status, killed.body["code"], killed.body["rule"]],
      [403, "killed", "kill:operation:registrar:domains:read"],
    );
    await stage.home.json(["resume", "operation:registrar:domains:read", "--why", "test"]);
    assert.equal((await curl("GET", "/domains")).status, 200);
  });
});

describe("the evidence of all of it", () => {
  test("is whole, holds no secret, and tells of each call that reached the API", async () => {
    const verdict = await stage.home.json<{ ok: boolean; findings: unknown[] }>(["audit", "verify"]);
    assert.deepEqual([verdict.ok, verdict.findings], [true, []]);
    const { stdout } = await stage.home.cli([
      "audit",
      "search",
      "--type",
      "call.decided",
      "--json",
      "--limit",
      "10000",
    ]);
    assert.ok(!stdout.includes(REGISTRAR_SECRET));
    const permitted = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ decision, service }) => decision === "permit" && service === "registrar");
    assert.equal(permitted.length, stage.registrar.received.length);
  });
});

describe("connect when no daemon runs", () => {
  const status = () => stage.home.json<{ running: boolean; pid: number }>(["status"]);
  after(async () => {
    const { running, pid } = await status();
    if (!running) return;
    process.kill(pid, "SIGTERM");
    // While it stops it holds the home, and `status` fails.
    await until(
      () => status().catch(() => ({ running: true })),
      (answer) => !answer.running,
    );
  });

  test("starts one, which goes on when the client leaves", async () => {
    await daemon.stop();
    const client = await overStdio(stage.home, "dns-bot", "legacy");
    const answer = await callTool(client, "doorward_request", {
      service: "registrar",
      method: "GET",
      path: "/domains",
    });
    await client.close();
    assert.equal(answer.content["status"], 200);
    assert.equal((await status()).running, true);
  });
});
