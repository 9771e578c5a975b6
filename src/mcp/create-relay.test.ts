import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { principal } from "../policy/policy.testing.ts";
import { capabilitiesOf, createRelay, type RelayParts } from "./create-relay.ts";
import { stageSession } from "./face.testing.ts";

function stage(parts: Partial<RelayParts> = {}) {
  const sent: JsonObject[] = [];
  const relay = createRelay({
    principal: principal(),
    era: "legacy",
    session: undefined,
    params: {},
    send(message) {
      sent.push(JSON.parse(message));
      return true;
    },
    expose: (said) => said,
    ...parts,
  });
  return { relay, sent };
}

test("of `_meta`, trace context and other vendors' keys go upstream, and nothing of the protocol's or ours", () => {
  const { relay } = stage({
    params: {
      _meta: {
        traceparent: "00-1",
        tracestate: "x",
        baggage: "y",
        "com.example/key": { a: 1 },
        progressToken: 7,
        "io.modelcontextprotocol/clientInfo": { name: "c" },
        "io.modelcontextprotocol/logLevel": "debug",
        "dev.mcp/x": 1,
        "MCP.example/x": 1,
        "doorward/purpose": "p",
        plain: 1,
        "/x": 1,
      },
    },
  });
  assert.deepEqual(relay.meta, { traceparent: "00-1", tracestate: "x", baggage: "y", "com.example/key": { a: 1 } });
  assert.equal(relay.progressToken, 7);
});

test("stateless callers share a key by agent and client, sessions have their own", () => {
  const one = stage().relay.key;
  assert.notEqual(one, stage({ principal: principal({ client: "key_2" }) }).relay.key);
  assert.notEqual(one, stage({ principal: principal({ agent: "other" }) }).relay.key);
  assert.equal(stage({ session: stageSession().session }).relay.key, "ses_1");
});

test("what changes whether or not a call runs goes to the session's stream, and so does what comes late", () => {
  const { session, pushed } = stageSession();
  const { relay, sent } = stage({ session });
  relay.notify("notifications/tools/list_changed", {});
  relay.notify("notifications/resources/updated", { uri: "a" });
  assert.deepEqual([sent.length, pushed.length], [0, 2]);
  const late = stage({ session, send: () => false, params: { _meta: { progressToken: 1 } } });
  late.relay.notify("notifications/message", { level: "info" });
  late.relay.notify("notifications/progress", { progressToken: 1 });
  assert.deepEqual(
    pushed.slice(2).map(({ method }) => method),
    ["notifications/message"],
  );
});

test("a stateless client hears nothing but its own call, also where it keeps a connection", () => {
  const { session, pushed } = stageSession();
  const { relay, sent } = stage({ session, era: "modern" });
  for (const method of ["notifications/tools/list_changed", "notifications/elicitation/complete", "notifications/x"]) {
    relay.notify(method, {});
  }
  assert.deepEqual([sent, pushed], [[], []]);
});

test("log messages are let through from the level on that the client named", () => {
  const levels = ["debug", "warning", "emergency", "nonsense", 1];
  const heard = (parts: Partial<RelayParts>) => {
    const { relay, sent } = stage(parts);
    for (const level of levels) relay.notify("notifications/message", { level });
    return sent.map(({ params }) => (params as JsonObject)["level"]);
  };
  assert.deepEqual(heard({ era: "modern" }), []);
  assert.deepEqual(heard({ session: stageSession().session }), levels);
  assert.deepEqual(heard({ session: stageSession({ logLevel: "warning" }).session }), ["warning", "emergency"]);
  const params = { _meta: { "io.modelcontextprotocol/logLevel": "alert" } };
  assert.deepEqual(heard({ era: "modern", params }), ["emergency"]);
  const odd = { _meta: { "io.modelcontextprotocol/logLevel": "loud" } };
  assert.deepEqual(heard({ era: "modern", params: odd }), []);
});

test("a client is asked only what it declared that it can answer, and nothing but that", async () => {
  const { session } = stageSession({ capabilities: { roots: {} } });
  const { relay, sent } = stage({ session });
  const asking = relay.request("roots/list", {});
  session.pending?.answer({ kind: "answer", id: sent[0]?.["id"] as string, result: { roots: [] } });
  assert.deepEqual(await asking, { roots: [] });
  for (const method of ["elicitation/create", "sampling/createMessage", "tools/call", "ping"]) {
    await assert.rejects(relay.request(method, {}), /cannot be asked/);
  }
  await assert.rejects(stage({ era: "modern", session }).relay.request("roots/list", {}), /cannot be asked/);
  await assert.rejects(stage().relay.request("roots/list", {}), /cannot be asked/);
});

test("a question ends with an error, an abort, or its session, and there is a limit of them", async () => {
  const { session } = stageSession({ capabilities: { roots: {} } });
  const { relay, sent } = stage({ session });
  const refused = relay.request("roots/list", {});
  session.pending?.answer({ kind: "answer", id: "doorward-999", result: { foreign: true } });
  session.pending?.answer({ kind: "answer", id: sent[0]?.["id"] as string, result: undefined });
  await assert.rejects(refused, /with an error/);
  const controller = new AbortController();
  const aborted = relay.request("roots/list", {}, controller.signal);
  controller.abort();
  await assert.rejects(aborted, /did not answer/);
  const waiting = Array.from({ length: 64 }, () => relay.request("roots/list", {}));
  await assert.rejects(relay.request("roots/list", {}), /too much at once/);
  session.pending?.close();
  for (const asking of waiting) await assert.rejects(asking, /did not answer/);
  await assert.rejects(relay.request("roots/list", {}), /did not answer/);
});

test("of a client's capabilities those are kept that a server may use, and no more than a few words of each", () => {
  const declared = { roots: { listChanged: true }, sampling: {}, elicitation: 1, experimental: { a: "x" }, tasks: {} };
  assert.deepEqual(capabilitiesOf(declared), { sampling: {}, roots: { listChanged: true } });
  assert.deepEqual(capabilitiesOf({ roots: { a: "x".repeat(2_000) } }), {});
  assert.deepEqual(capabilitiesOf(undefined), {});
});
