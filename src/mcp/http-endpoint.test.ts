import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import type { Relay } from "../broker/upstream-call.ts";
import { type Script, surfaceOf, toolOf } from "./face.testing.ts";
import { CAPABILITIES, eventsOf, modern, serve } from "./http-endpoint.testing.ts";

test("a call without notifications is answered as plain JSON, in both eras", async (t) => {
  const { post, open } = await serve(t);
  const { message, headers } = modern("tools/call", { name: "repo__get_issue" });
  const stateless = await post("/mcp", message, headers);
  const session = await open("/mcp");
  const kept = await post("/mcp", { id: 1, method: "tools/call", params: { name: "repo__get_issue" } }, session);
  for (const response of [stateless, kept]) {
    assert.equal(response.headers.get("content-type"), "application/json");
    const answer = (await response.json()) as JsonObject;
    assert.deepEqual((answer["result"] as JsonObject)["content"], [{ type: "text", text: "done" }]);
  }
});

const talkative: Script = ({ relay }) => {
  const { progressToken } = relay!;
  relay!.notify("notifications/progress", { progressToken: progressToken ?? 1, progress: 1 });
  relay!.notify("notifications/progress", { progressToken: "somebody else's", progress: 1 });
  relay!.notify("notifications/message", { level: "info", data: "low" });
  relay!.notify("notifications/message", { level: "error", data: "high" });
  return { content: [] };
};

test("what a server says meanwhile comes first on the same answer: what the client asked for, and no more", async (t) => {
  const { post, open } = await serve(t, talkative);
  const meta = { progressToken: "p", "io.modelcontextprotocol/logLevel": "warning" };
  const { message, headers } = modern("tools/call", { name: "repo__get_issue" }, meta);
  const response = await post("/mcp", message, headers);
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  const next = eventsOf(response);
  assert.deepEqual((await next())?.["params"], { progressToken: "p", progress: 1 });
  assert.deepEqual((await next())?.["params"], { level: "error", data: "high" });
  assert.deepEqual((await next())?.["id"], 5);
  assert.equal(await next(), undefined);

  const unasked = modern("tools/call", { name: "repo__get_issue" });
  const silent = await post("/mcp", unasked.message, unasked.headers);
  assert.equal(silent.headers.get("content-type"), "application/json");

  const session = await open("/mcp");
  const call = { id: 1, method: "tools/call", params: { name: "repo__get_issue" } };
  const kept = eventsOf(await post("/mcp", call, session));
  assert.deepEqual((await kept())?.["params"], { level: "info", data: "low" });
  assert.deepEqual((await kept())?.["params"], { level: "error", data: "high" });
  assert.deepEqual((await kept())?.["id"], 1);
});

test("a client that takes no event streams gets its answer without them", async (t) => {
  const { post } = await serve(t, talkative);
  const { message, headers } = modern("tools/call", { name: "repo__get_issue" }, { progressToken: "p" });
  const response = await post("/mcp", message, { ...headers, accept: "application/json" });
  assert.equal(response.headers.get("content-type"), "application/json");
});

const asking: Script = async ({ relay }) => {
  const result = await relay!.request("elicitation/create", { message: "who?", requestedSchema: { type: "object" } });
  return { content: [{ type: "text", text: JSON.stringify(result) }] };
};

test("a server's question reaches the session that called, and only its answer goes back", async (t) => {
  const { post, open } = await serve(t, asking);
  const mine = await open("/mcp/repo", { elicitation: {} });
  const theirs = await open("/mcp/repo", { elicitation: {} }, { "x-agent": "bot key_2" });
  const call = { id: 1, method: "tools/call", params: { name: "get_issue" } };
  const next = eventsOf(await post("/mcp/repo", call, mine));
  const question = await next();
  assert.deepEqual(
    [question?.["method"], (question!["params"] as JsonObject)["message"]],
    ["elicitation/create", "who?"],
  );
  const answer = (text: string) => ({ id: question!["id"]!, result: { action: "accept", content: { text } } });

  const foreign = await post("/mcp/repo", answer("theirs"), { ...theirs, "x-agent": "bot key_2" });
  assert.equal(foreign.status, 202, "in its own session it answers nothing");
  const stolen = await post("/mcp/repo", answer("stolen"), { ...mine, "x-agent": "bot key_2" });
  assert.equal(stolen.status, 404, "the session of another is not there");
  assert.equal((await post("/mcp/repo", answer("mine"), mine)).status, 202);
  const result = (await next())?.["result"];
  assert.match(JSON.stringify(result), /mine/);
  assert.doesNotMatch(JSON.stringify(result), /theirs|stolen/);
});

test("a client that cannot be asked is not: not declared, or stateless", async (t) => {
  const { post, open } = await serve(t, asking);
  const session = await open("/mcp", { sampling: {} });
  const call = { id: 1, method: "tools/call", params: { name: "repo__get_issue" } };
  assert.match(await (await post("/mcp", call, session)).text(), /upstream_invalid/);
  const { message, headers } = modern(
    "tools/call",
    { name: "repo__get_issue" },
    { [CAPABILITIES]: { elicitation: {} } },
  );
  assert.match(await (await post("/mcp", message, headers)).text(), /upstream_invalid/);
});

test("a session holds where it was opened, and its end is told", async (t) => {
  const { post, open, base, ended } = await serve(t);
  const session = await open("/mcp/repo");
  const call = { id: 1, method: "tools/list", params: {} };
  assert.equal((await post("/mcp/repo", call, session)).status, 200);
  assert.equal((await post("/mcp", call, session)).status, 404);
  assert.equal((await post("/mcp/other", call, session)).status, 404);
  await fetch(`${base}/mcp/repo`, { method: "DELETE", headers: session });
  assert.deepEqual(ended, [session["mcp-session-id"]]);
  assert.equal((await post("/mcp/repo", call, session)).status, 404);
});

test("a server that is not there, and one that may not be known, are the same at `/mcp/SERVICE`", async (t) => {
  const { post } = await serve(t);
  const { message, headers } = modern("tools/list", {});
  const texts = [];
  for (const service of ["nowhere", "secret", "api", "repo/", "%72epo", ""]) {
    const response = await post(`/mcp/${service}`, message, headers);
    assert.equal(response.status, 404);
    texts.push(await response.text());
  }
  assert.equal(new Set(texts).size, 1);
});

test("messages outside of any call come on the session's own stream", async (t) => {
  const { post, open, base, listening } = await serve(t);
  const session = await open("/mcp");
  const stream = await fetch(`${base}/mcp`, { headers: { ...session, accept: "text/event-stream" } });
  const next = eventsOf(stream);
  await (await post("/mcp", { id: 1, method: "tools/list", params: {} }, session)).arrayBuffer();
  listening[0]?.relay.notify("notifications/tools/list_changed", {});
  assert.equal((await next())?.["method"], "notifications/tools/list_changed");
  await fetch(`${base}/mcp`, { method: "DELETE", headers: session });
  assert.equal(await next(), undefined);
  assert.ok(listening.every(({ ended }) => ended));
});

test("a client that leaves ends its call; one that cancels too", async (t) => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { post, events } = await serve(t, () => {
    begin();
    return new Promise<JsonObject>(() => {});
  });
  const leaving = new AbortController();
  const { message, headers } = modern("tools/call", { name: "repo__get_issue" });
  const left = post("/mcp", message, headers, leaving.signal).catch(() => {});
  await begun;
  leaving.abort();
  await left;
  while (!events.some(({ type }) => type === "call.completed")) await new Promise((turn) => setImmediate(turn));
  assert.equal(events.find(({ type }) => type === "call.completed")?.code, "client_closed");
});

test("headers that repeat arguments must agree with them, where the tool declares them", async (t) => {
  const { post, surfaces, calls, refused, events } = await serve(t);
  const inputSchema = { type: "object", properties: { region: { type: "string", "x-mcp-header": "Region" } } };
  surfaces.set(
    "repo",
    surfaceOf({ tools: [toolOf("get_issue", { inputSchema }), toolOf("set_issue", { inputSchema })] }),
  );
  const send = async (region: string | undefined, name = "repo__get_issue") => {
    const { message, headers } = modern("tools/call", { name, arguments: { region: "eu" } });
    const more = region === undefined ? {} : { "mcp-param-region": region };
    return post("/mcp", message, { ...headers, ...more });
  };
  assert.equal((await send("eu")).status, 200);
  assert.equal((await send("=?base64?ZXU=?=")).status, 200);
  for (const region of ["us", undefined, "=?base64?ZXU?="]) {
    const response = await send(region);
    assert.equal(response.status, 400);
    assert.match(await response.text(), /-32020/);
  }
  assert.deepEqual(refused, [], "they were decided on, and are on record as calls");
  assert.equal(events.filter(({ type }) => type === "call.decided").length, 5);
  assert.match(
    await (await send("us", "repo__set_issue")).text(),
    /denied/,
    "what may not be called tells nothing of itself",
  );
  assert.equal(calls.length, 2);
});

test("a subscription stream begins with what is granted and carries only that, until either side ends it", async (t) => {
  const { post, listening, subscriptions, calls, endedKeys } = await serve(t, () => ({}));
  const resourceSubscriptions = ["doorward://repo/repo://a", "doorward://secret/x://b", "repo://a"];
  const filter = { notifications: { toolsListChanged: true, resourceSubscriptions } };
  const { message, headers } = modern("subscriptions/listen", filter);
  const next = eventsOf(await post("/mcp", message, headers));
  const granted = (await next())?.["params"] as JsonObject;
  assert.deepEqual(granted["notifications"], {
    toolsListChanged: true,
    resourceSubscriptions: ["doorward://repo/repo://a"],
  });
  assert.deepEqual(granted["_meta"], { "io.modelcontextprotocol/subscriptionId": 5 });
  assert.deepEqual(
    calls.map(({ request }) => request.mcp?.method),
    ["resources/subscribe"],
  );

  const relay = listening.find(({ service }) => service === "repo")?.relay as Relay;
  relay.notify("notifications/prompts/list_changed", {});
  relay.notify("notifications/resources/updated", { uri: "repo://other" });
  relay.notify("notifications/message", { level: "error", data: "x" });
  relay.notify("notifications/resources/updated", { uri: "repo://a" });
  assert.equal(((await next())!["params"] as JsonObject)["uri"], "doorward://repo/repo://a");
  subscriptions.changed();
  assert.equal((await next())?.["method"], "notifications/tools/list_changed");
  subscriptions.endAll();
  const ending = await next();
  assert.equal(ending?.["id"], 5);
  assert.deepEqual((ending!["result"] as JsonObject)["resultType"], "complete");
  assert.equal(await next(), undefined);
  assert.ok(listening.every(({ ended }) => ended));
  assert.deepEqual(endedKeys, [calls[0]?.relay?.key]);
});

test("a denied call sent as a notification, or under an id that is under way, does not run", async (t) => {
  const { post, open, calls } = await serve(t, () => new Promise<JsonObject>(() => {}));
  const session = await open("/mcp");
  const params = { name: "repo__get_issue" };
  assert.equal((await post("/mcp", { method: "tools/call", params }, session)).status, 202);
  assert.equal(calls.length, 0);
  void post("/mcp", { id: 1, method: "tools/call", params }, session).catch(() => {});
  while (calls.length === 0) await new Promise((turn) => setImmediate(turn));
  const twice = await post("/mcp", { id: 1, method: "tools/call", params }, session);
  assert.equal(twice.status, 400);
  const other = await open("/mcp", {}, { "x-agent": "bot key_2" });
  void post("/mcp", { id: 1, method: "tools/call", params }, { ...other, "x-agent": "bot key_2" }).catch(() => {});
  while (calls.length === 1) await new Promise((turn) => setImmediate(turn));
  assert.equal(calls.length, 2, "another client's ids are its own");
});
