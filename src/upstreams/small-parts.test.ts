import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../base/problem.ts";
import { callParams } from "./call-params.ts";
import { mcpParamHeaders } from "./mcp-param-headers.ts";
import { createMessageBudget } from "./message-budget.ts";
import { parseRequestState, printRequestState } from "./round-state.ts";
import { createStartBackoff } from "./start-backoff.ts";
import { createStderrRing, lastWords } from "./stderr-ring.ts";
import { relayOf } from "./upstreams.testing.ts";

test("arguments that a tool declares are repeated in headers, encoded where they are no plain text", () => {
  const schema = {
    type: "object",
    properties: {
      region: { type: "string", "x-mcp-header": "Region" },
      deep: { type: "object", properties: { on: { type: "boolean", "x-mcp-header": "On" } } },
      bad: { type: "string", "x-mcp-header": "not a token" },
      list: { type: "array", "x-mcp-header": "List" },
      absent: { type: "string", "x-mcp-header": "Absent" },
    },
  };
  const args = { region: "eu\r\nX: y", deep: { on: true }, bad: "b", list: [1] };
  assert.deepEqual(mcpParamHeaders(schema, args), {
    "Mcp-Param-Region": `=?base64?${Buffer.from("eu\r\nX: y").toString("base64")}?=`,
    "Mcp-Param-On": "true",
  });
  assert.deepEqual(mcpParamHeaders(undefined, args), {});
});

test("what is sent is what was decided on; of `_meta` only what is nobody's protocol state", () => {
  const meta = {
    traceparent: "00",
    progressToken: 7,
    "vendor.example/x": 1,
    "io.modelcontextprotocol/clientInfo": {},
    "mcp.dev/x": 2,
    "io.modelcontextprotocol/logLevel": "info",
  };
  const params = callParams({ method: "tools/call", name: "t", arguments: { a: 1 }, item: "tool" }, relayOf({ meta }));
  assert.deepEqual(params, {
    name: "t",
    arguments: { a: 1 },
    _meta: { traceparent: "00", "vendor.example/x": 1, "io.modelcontextprotocol/logLevel": "info" },
  });
});

test("a request's state survives its way through the client, and nothing else is one", () => {
  for (const state of [
    { kind: "parked", id: "ask_1" },
    { kind: "relayed", state: "s", answers: { a: { action: "decline" } } },
    { kind: "relayed", state: undefined, answers: {} },
  ] as const) {
    assert.deepEqual(parseRequestState(printRequestState(state)), state);
  }
  for (const text of ["", "x", "null", "[]", "{}", '{"s":1,"a":{}}', '{"s":"x"}'])
    assert.equal(parseRequestState(text), undefined);
});

test("after each failure in a row a server may be started later, up to a minute; a good run forgets them", () => {
  const backoff = createStartBackoff();
  const problem = new Problem("upstream_unreachable", { detail: "gone" });
  backoff.check("s", 0);
  backoff.failed("s", problem, 0);
  assert.throws(() => backoff.check("s", 999), /gone/);
  backoff.check("s", 1_000);
  backoff.failed("s", problem, 1_000);
  assert.throws(() => backoff.check("s", 2_999), /gone/);
  for (let index = 0; index < 20; index++) backoff.failed("s", problem, 0);
  assert.throws(
    () => backoff.check("s", 59_000),
    (error) => error instanceof Problem && error.fields.retry_after === 1,
  );
  backoff.check("s", 60_000);
  backoff.ended("s", problem, { ranMs: 60_000, nowMs: 0 });
  backoff.check("s", 0);
});

test("standard error is kept in its last lines, harmless to a terminal", () => {
  const ring = createStderrRing();
  for (let index = 0; index < 100; index++) ring.push(Buffer.from(`line ${index}\n`));
  ring.push(Buffer.from(`\u001b[31mred\u0007 ${"x".repeat(10_000)}`));
  const lines = ring.lines();
  assert.equal(lines.length, 51);
  assert.equal(lines[0], "line 50");
  assert.match(lines.at(-1) ?? "", /^\ufffd\[31mred\ufffd x+$/);
  assert.ok((lines.at(-1)?.length ?? 0) <= 500);
});

test("the last words of a Node program are its error, and not Node's version", () => {
  const lines = [
    "node:internal/modules/cjs/loader:1423",
    "Error: Cannot find module '/srv/x.js'",
    "    at wrap",
    "Node.js v24.21.0",
  ];
  assert.equal(lastWords(lines), "Error: Cannot find module '/srv/x.js'");
  assert.equal(lastWords(lines.slice(0, 2)), lines[1]);
  assert.equal(lastWords(["Node.js v24.21.0"]), "Node.js v24.21.0");
  assert.equal(lastWords([]), undefined);
});

test("a budget of messages fills again with time", () => {
  const budget = createMessageBudget();
  let taken = 0;
  while (budget.take(0)) taken += 1;
  assert.equal(taken, 1_000);
  assert.equal(budget.take(5), true);
  assert.equal(budget.take(5), false);
  assert.equal(budget.dropped, 2);
});
