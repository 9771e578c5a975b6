import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { AnswerSink } from "../egress/answer.ts";
import { agent, mcpService, operation, role, service } from "../policy/policy.testing.ts";
import type { McpMethod } from "../request/mcp-call.ts";
import { callTo, recordingSink, stageBroker, turns } from "./broker.testing.ts";
import { createBroker } from "./create-broker.ts";
import type { Relay, UpstreamCall } from "./upstream-call.ts";

const approval = { message: "Run {request.tool}", preview: undefined, expiresSeconds: 900 };
const remote = {
  transport: "http",
  url: { origin: "https://mcp.example", protocol: "https:", host: "mcp.example", port: 443, basePath: "/mcp" },
  legacySse: false,
} as const;

const RULES = {
  services: [
    service("dns", [operation("zones")]),
    mcpService("github", [
      operation("read", { allow: ["GET /issues"], tools: ["get_*"] }),
      operation("wipe", {
        allow: [],
        effect: "destructive",
        tools: ["wipe"],
        approval: { ...approval, message: "Run" },
      }),
    ]),
    mcpService("linear", [operation("read", { allow: [], tools: ["*"] })], {
      server: remote,
      credential: { kind: "bearer", secret: "local:linear" },
    }),
  ],
  roles: [role("reader", ["*"])],
  agents: [agent("bot", ["reader"])],
};

function stage(held?: Problem) {
  const staged = stageBroker(RULES);
  const sent: { readonly call: UpstreamCall; readonly sink: AnswerSink; aborted?: Problem }[] = [];
  const broker = createBroker({
    ...staged.deps,
    upstreams: {
      send(call, sink) {
        const exchange: (typeof sent)[number] = { call, sink };
        sent.push(exchange);
        return {
          redacted: 0,
          resume() {},
          abort(problem) {
            exchange.aborted = problem;
            sink.fail(problem);
          },
        };
      },
    },
    pins: { held: () => held },
  });
  const call = async (
    name: string,
    parts: { service?: string; method?: McpMethod; relay?: Relay; args?: JsonObject } = {},
  ) => {
    const { service: to = "github", method = "tools/call", relay, args = {} } = parts;
    const { sink, told, ended } = recordingSink();
    const raw = { kind: "mcp", method, name, arguments: args, lossy: false } as const;
    broker.call({ ...callTo("GET /"), door: "mcp", service: to, raw, relay }, sink);
    await turns();
    return { told, ended };
  };
  return { ...staged, sent, call, broker };
}

test("a permitted call goes to the upstream, recorded before and after", async () => {
  const { call, sent, events, steps } = stage();
  const relay = { key: "r" } as Relay;
  const { told, ended } = await call("get_issue", { relay, args: { n: 1 } });
  assert.equal(sent[0]?.call.request.mcp?.name, "get_issue");
  assert.equal(sent[0]?.call.relay, relay);
  assert.equal(sent[0]?.call.lease, undefined, "a started server's secret is the egress proxy's business");
  sent[0]?.sink.head({ status: 200, headers: [] });
  sent[0]?.sink.data(Buffer.from("{}"));
  sent[0]?.sink.end();
  await ended;
  assert.deepEqual(told, ["head 200", "data 2", "end"]);
  assert.deepEqual(
    events.map(({ type, operation: name, data }) => [type, name, data?.["method"] ?? data?.["status"]]),
    [
      ["call.decided", "read", "tools/call"],
      ["call.completed", "read", 200],
    ],
  );
  assert.ok(!steps.includes("lease") && !steps.includes("send"));
});

test("a remote server's credential is leased for its own origin", async () => {
  const { call, sent, steps } = stage();
  await call("get_issue", { service: "linear" });
  assert.equal(sent[0]?.call.lease?.credential.kind, "bearer");
  assert.deepEqual(steps, ["append:call.decided", "lease"]);
});

test("a held item is denied by its pin, before a person is asked, and never sent", async () => {
  const held = new Problem("denied", { detail: "it changed", fields: { rule: "pin:github:tool:wipe" } });
  for (const name of ["get_issue", "wipe"]) {
    const { call, sent, steps, events } = stage(held);
    const { told } = await call(name);
    assert.deepEqual(told, ["fail denied"]);
    assert.deepEqual([sent.length, steps], [0, ["append:call.decided"]]);
    assert.deepEqual([events[0]?.decision, events[0]?.rules], ["deny", ["pin:github:tool:wipe"]]);
  }
});

test("what the rules deny is denied by them, also when it is held", async () => {
  const { call, events } = stage(new Problem("denied", { fields: { rule: "pin:x" } }));
  const { told } = await call("set_issue");
  assert.deepEqual(told, ["fail unknown_operation"]);
  assert.notDeepEqual(events[0]?.rules, ["pin:x"]);
});

test("a call that needs a person waits for one", async () => {
  const { call, sent, refuseHold, steps } = stage();
  refuseHold(new Problem("approval_required"));
  assert.deepEqual((await call("wipe")).told, ["fail approval_required"]);
  assert.equal(sent.length, 0);
  assert.deepEqual(steps, ["hold", "append:call.decided"]);
});

test("what a person did not see does not go along with a call that was approved", async () => {
  const { call, sent } = stage();
  const meta = { traceparent: "00-a-b-01", "vendor.example/amount": 9_000 };
  await call("wipe", { relay: { key: "r", meta } as unknown as Relay });
  await call("get_issue", { relay: { key: "r", meta } as unknown as Relay });
  assert.deepEqual(
    sent.map(({ call: { relay } }) => relay?.meta),
    [{ traceparent: "00-a-b-01" }, meta],
  );
});

test("an MCP call to an API, and an HTTP request to an MCP server, are refused on record", async () => {
  const { call, broker, events, sent, exchanges } = stage();
  assert.deepEqual((await call("get_issue", { service: "dns" })).told, ["fail unknown_operation"]);
  for (const door of ["api", "mcp"] as const) {
    const { sink, told } = recordingSink();
    broker.call({ ...callTo("GET /issues"), door, service: "github" }, sink);
    await turns();
    assert.deepEqual(told, ["fail unknown_operation"]);
  }
  assert.deepEqual([sent.length, exchanges.length], [0, 0]);
  assert.deepEqual(
    events.map(({ decision, code }) => `${decision} ${code}`),
    Array(3).fill("deny unknown_operation"),
  );
  assert.ok(events.every(({ data }) => data?.["reason"] === "other_kind"));
});

test("a kill ends a call under way", async () => {
  const { call, sent, kill, events } = stage();
  const { told, ended } = await call("get_issue");
  kill("service:github");
  await ended;
  assert.equal(sent[0]?.aborted?.code, "killed");
  assert.deepEqual(told, ["fail killed"]);
  assert.equal(events.at(-1)?.code, "killed");
});
