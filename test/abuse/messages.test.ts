/** What an agent can put into a message: each gets its answer, nothing stands still, the next good request is served. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { exchangeRaw, type RawAnswer, requestBytes } from "../laws/raw-http.testing.ts";
import { callTool, modernHeaders, readEvidence, toolBytes } from "../laws/stage.testing.ts";
import { type AbuseStage, startAbuse } from "./stage.testing.ts";

/** Generous, for machines that do other things too. */
const LOOP_MS = 500;
const RUNS = Number(process.env["LAW_RUNS"] ?? 200);

let stage: AbuseStage;
before(async () => {
  stage = await startAbuse((_, response) => response.end("ok"));
});
after(() => stage?.[Symbol.asyncDispose]());

function post(
  body: string | Uint8Array,
  headers: readonly (readonly [string, string])[] = [],
  key = stage.key,
): Promise<RawAnswer | undefined> {
  const all = [
    ["Authorization", `Bearer ${key}`],
    ["Content-Type", "application/json"],
    ["Accept", "application/json, text/event-stream"],
    ...headers,
  ] as const;
  return exchangeRaw(stage.daemon.url, requestBytes({ method: "POST", target: "/mcp", headers: all, body }));
}

const errorOf = (answer: RawAnswer | undefined) =>
  (JSON.parse(answer!.body.toString("utf8")) as { error?: { code: number } }).error?.code;

const call = (args: string, meta = "{}") =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"doorward_request","arguments":${args},"_meta":${meta}}}`;
const REFUSED: Readonly<Record<string, () => string | Uint8Array>> = {
  nothing: () => "",
  "half a message": () => '{"jsonrpc":"2.0","id":1',
  "a batch": () => `[${call("{}")},${call("{}")}]`,
  "a duplicate method": () => '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}',
  "a duplicate written with an escape": () => '{"jsonrpc":"2.0","id":1,"method":"ping","meth\\u006fd":"tools/call"}',
  "a duplicate argument": () => call('{"service":"api","method":"GET","path":"/a","path":"/b"}'),
  __proto__: () => call('{"service":"api","__proto__":{"method":"GET"}}'),
  "a key that ends in NUL": () => call('{"service":"api","method\\u0000":"GET"}'),
  depth: () => `{"jsonrpc":"2.0","id":1,"method":"ping","params":${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}}`,
  "a byte order mark": () => `\ufeff${call("{}")}`,
  "invalid UTF-8": () => Buffer.from('{"jsonrpc":"2.0","id":1,"method":"\xff"}', "latin1"),
  "UTF-16": () => Buffer.from(call("{}"), "utf16le"),
  "a lone surrogate": () => '{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
  "an id of null": () => '{"jsonrpc":"2.0","id":null,"method":"ping"}',
  "an id that is an object": () => '{"jsonrpc":"2.0","id":{},"method":"ping"}',
  NaN: () => '{"jsonrpc":"2.0","id":NaN,"method":"ping"}',
  "a million values": () => `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[${"1,".repeat(1_000_000)}1]}}`,
  "a million keys": () =>
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{${Array.from({ length: 400_000 }, (_, i) => `"k${i}":1`).join(",")}}}`,
};

describe("what is not a message", { timeout: 60_000 }, () => {
  for (const [name, body] of Object.entries(REFUSED)) {
    test(`${name} is an error of the protocol`, async () => {
      const answer = await post(body());
      assert.equal(answer?.status, 400);
      assert.ok([-32_700, -32_600].includes(errorOf(answer) ?? 0), answer.body.toString("utf8"));
    });
  }

  test("keys that differ in case alone are not two names of one thing", async () => {
    const answer = await exchangeRaw(
      stage.daemon.url,
      toolBytes(stage.key, "doorward_request", '{"service":"api","method":"GET","path":"/a","Path":"/b"}'),
    );
    assert.match(answer!.body.toString("utf8"), /there is no argument|not acceptable/);
  });

  test("headers that say another thing than the body are a disagreement", async () => {
    for (const [name, value] of [
      ["Mcp-Method", "tools/list"],
      ["Mcp-Name", "doorward_whoami"],
      ["MCP-Protocol-Version", "2099-01-01"],
    ]) {
      const headers = modernHeaders(stage.key, "doorward_request").map(
        ([n, v]) => [n, n === name ? value! : v] as const,
      );
      const [, body = ""] = toolBytes(stage.key, "doorward_request", '{"service":"api","method":"GET","path":"/a"}');
      const answer = await exchangeRaw(
        stage.daemon.url,
        requestBytes({ method: "POST", target: "/mcp", headers, body }),
      );
      assert.equal(errorOf(answer), -32_020, name);
    }
  });

  test("a call sent as a notification is not carried out", async () => {
    const before = stage.upstream.received.length;
    const body = call('{"service":"api","method":"GET","path":"/notified"}').replace('"id":1,', "");
    await post(body);
    assert.ok(await stage.serves());
    assert.deepEqual(
      stage.upstream.received.slice(before).map(({ url }) => url),
      ["/plain"],
    );
  });

  test("any JSON, and any bytes, get an answer", async () => {
    const shaped = fc.record(
      {
        jsonrpc: fc.constantFrom<unknown>("2.0", "1.0", 2),
        id: fc.oneof(fc.integer(), fc.string(), fc.constant(null)),
        method: fc.oneof(
          fc.constantFrom(
            "tools/call",
            "tools/list",
            "initialize",
            "ping",
            "server/discover",
            "notifications/cancelled",
          ),
          fc.string(),
        ),
        params: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const text = fc.oneof(
      shaped.map((value) => JSON.stringify(value)),
      fc.json(),
      fc.string({ unit: "binary" }),
    );
    await fc.assert(
      fc.asyncProperty(text, async (body) => {
        const answer = await post(body);
        assert.ok(answer !== undefined && answer.status < 500, answer?.body.toString("utf8"));
      }),
      { numRuns: RUNS },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.jsonValue(),
        fc.constantFrom(
          "doorward_services",
          "doorward_request",
          "doorward_whoami",
          "doorward_explain",
          "doorward_status",
        ),
        async (args, tool) => {
          const answer = await callTool(stage.daemon.url, stage.key, tool, args as object);
          assert.ok(answer.http !== undefined && answer.http.status < 500);
          assert.notEqual(answer.error.code, "internal_error");
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe("what a message can cost", { timeout: 60_000 }, () => {
  const many = (count: number, write: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => write(i)).join(",");
  const COSTLY: Readonly<Record<string, () => string>> = {
    "a query of thousands of keys in two places": () =>
      `{"service":"api","method":"GET","path":"/x?${"z&".repeat(30_000)}","query":{${many(40_000, (i) => `"k${i}":"v"`)}}}`,
    "a path of megabytes": () => `{"service":"api","method":"GET","path":"/${"a/".repeat(3_000_000)}"}`,
    "tens of thousands of headers": () =>
      `{"service":"api","method":"GET","path":"/x","headers":{${many(40_000, (i) => `"if-${i}":"v"`)}}}`,
    "a key repeated without end": () =>
      `{"service":"api","method":"GET","path":"/x","query":{"a":[${many(90_000, () => '""')}]}}`,
    "a body of many values": () =>
      `{"service":"api","method":"POST","path":"/x","body":[${many(45_000, (i) => `{"k${i}":1}`)}]}`,
  };
  for (const [name, args] of Object.entries(COSTLY)) {
    test(`${name}: an answer, and no standstill`, async () => {
      const bytes = toolBytes(stage.key, "doorward_request", args());
      await stage.slowest();
      const answer = await exchangeRaw(stage.daemon.url, bytes);
      assert.ok(answer !== undefined && answer.status < 500);
      assert.ok((await stage.slowest()) < LOOP_MS);
      assert.ok(await stage.serves());
    });
  }
});

describe("what belongs to another", { timeout: 60_000 }, () => {
  const initialize =
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}';
  const list = '{"jsonrpc":"2.0","id":2,"method":"tools/list"}';

  test("a session is nothing to somebody else's key", async () => {
    const id = (await post(initialize))?.headers.get("mcp-session-id") ?? "";
    assert.equal((await post(list, [["Mcp-Session-Id", id]]))?.status, 200);
    assert.equal((await post(list, [["Mcp-Session-Id", id]], stage.otherKey))?.status, 404);
    const headers = [
      ["Authorization", `Bearer ${stage.otherKey}`],
      ["Mcp-Session-Id", id],
    ] as const;
    assert.equal(
      (await exchangeRaw(stage.daemon.url, requestBytes({ method: "DELETE", target: "/mcp", headers })))?.status,
      404,
    );
    assert.equal((await post(list, [["Mcp-Session-Id", id]]))?.status, 200);
  });

  test("an approval and a decision are nothing to somebody else", async () => {
    const held = await callTool(stage.daemon.url, stage.key, "doorward_request", {
      service: "api",
      method: "DELETE",
      path: "/mine",
    });
    const { approval_id: approval, request_id: request } = held.error;
    for (const [tool, args] of [
      ["doorward_status", { id: approval }],
      ["doorward_explain", { request_id: request }],
    ] as const) {
      assert.equal((await callTool(stage.daemon.url, stage.otherKey, tool, args)).error.code, "not_found");
      assert.equal((await callTool(stage.daemon.url, stage.key, tool, args)).isError, false);
    }
  });

  test("two clients may use the same id at once", async () => {
    const sessions = await Promise.all(
      [stage.key, stage.otherKey].map(async (key) => ({
        key,
        id: (await post(initialize, [], key))?.headers.get("mcp-session-id") ?? "",
      })),
    );
    const answers = await Promise.all(sessions.map(({ key, id }) => post(list, [["Mcp-Session-Id", id]], key)));
    assert.deepEqual(
      answers.map((answer) => answer?.status),
      [200, 200],
    );
  });

  test("10,000 idle sessions are kept, and cost little", async () => {
    const memory = await stage.memoryBytes();
    for (let i = 0; i < 100; i++) await Promise.all(Array.from({ length: 100 }, () => post(initialize)));
    assert.ok((await stage.memoryBytes()) - memory < 200 * 1024 * 1024);
    assert.ok(await stage.serves());
  });

  test("and the daemon has nothing to confess", () => {
    assert.doesNotMatch(stage.daemon.said(), /internal error/);
    assert.ok(!readEvidence(stage.home.home).some(({ code }) => code === "internal_error"));
  });
});
