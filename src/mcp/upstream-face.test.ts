import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { principal } from "../policy/policy.testing.ts";
import { stageFace, stageSession, surfaceOf, toolOf } from "./face.testing.ts";
import { RpcError } from "./json-rpc.ts";

const names = (result: JsonObject, field = "tools", key = "name") =>
  (result[field] as JsonObject[]).map((item) => item[key]);
const rpc =
  (code: number, what = /./) =>
  (error: unknown) =>
    error instanceof RpcError && error.code === code && what.test(error.message);
const codeOf = (result: JsonObject): JsonValue | undefined =>
  ((result["structuredContent"] as JsonObject)?.["error"] as JsonObject)?.["code"];

const LEGACY = { era: "legacy" } as const;
const AT_REPO = { service: "repo" } as const;

test("`/mcp` lists Doorward's own tools and what may be called of each server, under names of their own", async () => {
  const { ask } = stageFace();
  const listed = names(await ask("tools/list"));
  assert.deepEqual(listed.slice(0, 4), ["doorward_own", "doorward_find_tools", "other__get_issue", "repo__get_issue"]);
  assert.match(String(listed[4]), /^repo__get_weird_name_[0-9a-f]{8}$/);
  assert.equal(listed.length, 5, "set_issue may not be called, and of `secret` nothing is known");
  assert.deepEqual(names(await ask("prompts/list"), "prompts"), ["repo__summary"]);
  assert.deepEqual(names(await ask("resources/list"), "resources", "uri"), ["doorward://repo/repo://a"]);
  const templates = await ask("resources/templates/list");
  assert.deepEqual(names(templates, "resourceTemplates", "uriTemplate"), ["doorward://repo/repo://{path}"]);
  assert.equal(templates["cacheScope"], "private");
});

test("`/mcp/SERVICE` lists one server, its names untouched, and nothing of Doorward's", async () => {
  const { ask } = stageFace();
  assert.deepEqual(names(await ask("tools/list", {}, AT_REPO)), ["get_issue", "get_weird name"]);
  assert.deepEqual(names(await ask("resources/list", {}, AT_REPO), "resources", "uri"), ["repo://a"]);
  const denied = await ask("tools/call", { name: "doorward_own" }, AT_REPO);
  assert.equal(codeOf(denied), "unknown_operation");
});

test("`/mcp/SERVICE` is introduced as the server says, without what is not relayed", async () => {
  const { ask } = stageFace();
  const modern = await ask("server/discover", {}, AT_REPO);
  const legacy = await ask("initialize", { protocolVersion: "2025-06-18" }, { ...AT_REPO, ...LEGACY });
  for (const answer of [modern, legacy]) {
    assert.deepEqual(answer["capabilities"], { tools: {}, prompts: {}, resources: { subscribe: true } });
    assert.equal(answer["instructions"], "of repo");
  }
  assert.equal(legacy["protocolVersion"], "2025-06-18");
  assert.deepEqual(modern["supportedVersions"], ["2026-07-28"]);
});

test("a server that fails hides nobody else's tools; alone it is an error", async () => {
  const { ask, surfaces } = stageFace();
  surfaces.set("repo", new Problem("upstream_unreachable", { detail: "it exited" }));
  const list = await ask("tools/list");
  assert.ok(names(list).includes("other__get_issue"));
  assert.equal(list["ttlMs"], 1_000);
  await assert.rejects(ask("tools/list", {}, AT_REPO), rpc(-32603, /upstream_unreachable/));
  await assert.rejects(ask("server/discover", {}, AT_REPO), rpc(-32603, /it exited/));
});

test("a definition that breaks the protocol is left out, so that it spoils no list", async () => {
  const { ask, surfaces } = stageFace();
  const bad: JsonObject[] = [
    { name: "get_a" },
    toolOf("get_b", { inputSchema: { type: "string" } }),
    toolOf("get_c", { description: 1 }),
    toolOf("get_d", { annotations: [] }),
    toolOf("get_e", { execution: { taskSupport: "required" } }),
    { ...toolOf("x"), name: 1 },
    toolOf("get_ok"),
    toolOf("get_ok", { description: "twice" }),
  ];
  surfaces.set("repo", surfaceOf({ tools: bad, resources: [{ uri: "repo://a" }, { uri: "repo://b", name: "b" }] }));
  assert.deepEqual(names(await ask("tools/list", {}, AT_REPO)), ["get_ok"]);
  assert.deepEqual(names(await ask("resources/list", {}, AT_REPO), "resources", "uri"), ["repo://b"]);
});

test("who may use no server sees Doorward as it is without any", async () => {
  const { ask } = stageFace();
  const poor = { principal: principal({ agent: "poor" }) };
  assert.deepEqual(names(await ask("tools/list", {}, poor)), ["doorward_own"]);
  assert.deepEqual((await ask("server/discover", {}, poor))["capabilities"], { tools: {} });
  await assert.rejects(ask("prompts/list", {}, poor), rpc(-32601));
  const refused = await ask("tools/call", { name: "repo__get_issue" }, poor);
  const missing = await ask("tools/call", { name: "nowhere__get_issue" }, poor);
  assert.equal(codeOf(refused), "unknown_service");
  assert.deepEqual(
    JSON.stringify(refused).replaceAll("`repo`", "X"),
    JSON.stringify(missing).replaceAll("`nowhere`", "X"),
  );
});

test("a call goes through the broker under the upstream's own name, and is on record", async () => {
  const { ask, calls, events } = stageFace();
  const result = await ask("tools/call", { name: "repo__get_issue", arguments: { n: 1 } });
  assert.deepEqual(result["content"], [{ type: "text", text: "done" }]);
  assert.equal(result["resultType"], "complete");
  assert.deepEqual(calls[0]?.request.mcp, {
    method: "tools/call",
    name: "get_issue",
    arguments: { n: 1 },
    item: "tool",
  });
  assert.deepEqual(
    events.map(({ type, service, operation, decision }) => [type, service, operation, decision]),
    [
      ["call.decided", "repo", "read", "permit"],
      ["call.completed", "repo", "read", undefined],
    ],
  );
});

test("a name that was cut is found again", async () => {
  const { ask, calls } = stageFace();
  const cut = names(await ask("tools/list")).at(-1);
  await ask("tools/call", { name: cut! });
  assert.equal(calls[0]?.request.mcp?.name, "get_weird name");
});

test("what may not be called never reaches the server, whichever way it is asked for", async () => {
  const { ask, calls, events } = stageFace();
  assert.equal(codeOf(await ask("tools/call", { name: "repo__set_issue" })), "denied");
  assert.equal(codeOf(await ask("tools/call", { name: "set_issue" }, AT_REPO)), "denied");
  assert.equal(codeOf(await ask("tools/call", { name: "secret__get_hidden" })), "unknown_service");
  assert.equal(codeOf(await ask("tools/call", { name: "api__get" })), "unknown_operation");
  await assert.rejects(ask("tools/call", { name: "set_issue" }), rpc(-32602, /no tool/));
  await assert.rejects(ask("resources/read", { uri: "doorward://secret/x://a" }), rpc(-32602, /unknown_service/));
  await assert.rejects(ask("resources/read", { uri: "file:///etc" }, AT_REPO), rpc(-32602, /unknown_operation/));
  await assert.rejects(ask("resources/read", { uri: "repo://a" }), rpc(-32602, /no resource/));
  assert.equal(calls.length, 0);
  assert.ok(events.every(({ decision }) => decision === "deny"));
});

test("a refusal of a prompt carries the contract's fields", async () => {
  const { ask } = stageFace();
  await assert.rejects(ask("prompts/get", { name: "secret__x" }), (error) => {
    assert.ok(error instanceof RpcError);
    const data = error.data as JsonObject;
    assert.deepEqual([data["code"], data["request_id"]], ["unknown_service", "req_1"]);
    assert.ok(typeof data["remedy"] === "string");
    return true;
  });
});

test("an upstream's own error is relayed as an error, and its `isError` as a result", async () => {
  let answer: JsonObject = { error: { code: -32002, message: "no such thing", data: { uri: "x" } } };
  const { ask } = stageFace(() => answer);
  await assert.rejects(ask("tools/call", { name: "repo__get_issue" }), (error) => {
    assert.ok(error instanceof RpcError);
    assert.deepEqual([error.code, error.message, error.data], [-32002, "no such thing", { uri: "x" }]);
    return true;
  });
  answer = { error: { code: -32021, message: "cannot" } };
  await assert.rejects(
    ask("tools/call", { name: "repo__get_issue" }),
    (error) => error instanceof RpcError && error.status === 400 && error.judged,
  );
  answer = { isError: true, content: [{ type: "text", text: "broken" }] };
  assert.deepEqual((await ask("tools/call", { name: "repo__get_issue" }))["isError"], true);
});

test("URIs in results are those that the client can read, and its own come back as the upstream's", async () => {
  const link = { type: "resource_link", uri: "repo://b", name: "b" };
  const embedded = { type: "resource", resource: { uri: "repo://c", text: "c" } };
  const { ask, calls } = stageFace(({ request }) =>
    request.mcp?.method === "resources/read"
      ? { contents: [{ uri: "repo://a", text: "x" }] }
      : request.mcp?.method === "prompts/get"
        ? { messages: [{ role: "user", content: embedded }] }
        : { content: [link, embedded, { type: "text", text: "repo://b" }] },
  );
  const called = JSON.stringify(await ask("tools/call", { name: "repo__get_issue" }));
  assert.ok(called.includes('"uri":"doorward://repo/repo://b"'));
  assert.ok(called.includes('"uri":"doorward://repo/repo://c"'));
  assert.ok(called.includes('"text":"repo://b"'), "texts are not touched");
  const read = await ask("resources/read", { uri: "doorward://repo/repo://a" });
  assert.deepEqual(read["contents"], [{ uri: "doorward://repo/repo://a", text: "x" }]);
  assert.deepEqual([read["ttlMs"], read["cacheScope"]], [0, "private"]);
  assert.equal(calls.at(-1)?.request.mcp?.name, "repo://a");
  const prompt = JSON.stringify(await ask("prompts/get", { name: "repo__summary" }));
  assert.ok(prompt.includes("doorward://repo/repo://c"));
  const own = JSON.stringify(await ask("tools/call", { name: "get_issue" }, AT_REPO));
  assert.ok(own.includes('"uri":"repo://b"'));
});

test("a completion names its prompt or template as the upstream does", async () => {
  const { ask, calls } = stageFace(() => ({ completion: { values: ["a"] } }));
  const argument = { name: "n", value: "a" };
  await ask("completion/complete", { ref: { type: "ref/prompt", name: "repo__summary" }, argument });
  await ask("completion/complete", {
    ref: { type: "ref/resource", uri: "doorward://repo/repo://{path}" },
    argument,
    context: { arguments: { a: "b" } },
  });
  assert.deepEqual(
    calls.map(({ request }) => request.mcp?.arguments),
    [
      { ref: { type: "ref/prompt", name: "summary" }, argument },
      { ref: { type: "ref/resource", uri: "repo://{path}" }, argument, context: { arguments: { a: "b" } } },
    ],
  );
});

test("each era has its own methods", async () => {
  const { ask } = stageFace(() => ({}));
  const uri = "doorward://repo/repo://a";
  const { session } = stageSession();
  assert.deepEqual(await ask("resources/subscribe", { uri }, { ...LEGACY, session }), {});
  await assert.rejects(ask("resources/subscribe", { uri }), rpc(-32601));
  assert.deepEqual(await ask("logging/setLevel", { level: "error" }, { ...LEGACY, session }), {});
  assert.equal(session.logLevel, "error");
  await assert.rejects(ask("logging/setLevel", { level: "loud" }, { ...LEGACY, session }), rpc(-32602));
  await assert.rejects(ask("logging/setLevel", { level: "error" }), rpc(-32601));
  await assert.rejects(ask("subscriptions/listen", {}, { ...LEGACY, session }), rpc(-32601));
  await assert.rejects(ask("tools/list", { cursor: "2" }, AT_REPO), rpc(-32602));
});

test("the tools of a server that has too many are found by searching, and called all the same", async () => {
  const { ask, surfaces, calls } = stageFace();
  const many = Array.from({ length: 127 }, (_, i) => toolOf(`get_${i}`));
  surfaces.set("other", surfaceOf({ tools: [...many, toolOf("get_needle", { title: "Finds it" })] }));
  const listed = names(await ask("tools/list"));
  assert.ok(listed.includes("other__get_needle"));
  assert.ok(!listed.some((name) => String(name).startsWith("repo__")), "130 would be too many");
  const find = async (args: JsonObject) =>
    (await ask("tools/call", { name: "doorward_find_tools", arguments: args }))["structuredContent"] as JsonObject;
  assert.deepEqual(names(await find({ query: "weird" })).length, 1);
  assert.deepEqual(names(await find({ query: "Finds NEEDLE" })), ["other__get_needle"]);
  assert.deepEqual(
    names(await find({ query: "issue", service: "repo" })),
    ["repo__get_issue"],
    "not what may not be called",
  );
  const some = await find({ query: "get", service: "other", limit: 3 });
  assert.deepEqual([names(some).length, some["more"]], [3, 125]);
  assert.equal(
    codeOf(await ask("tools/call", { name: "doorward_find_tools", arguments: { query: "x", service: "secret" } })),
    "unknown_service",
  );
  await ask("tools/call", { name: "repo__get_issue" });
  assert.equal(calls.length, 1);
});

test("a state comes back to the upstream from the same caller for the same call, and from nobody else", async () => {
  const { ask, calls } = stageFace(({ relay }) =>
    relay?.inputResponses === undefined
      ? { resultType: "input_required", inputRequests: { a: { method: "roots/list" } }, requestState: "theirs" }
      : { content: [] },
  );
  const call = { name: "repo__get_issue", arguments: { n: 1 } };
  const asked = await ask("tools/call", call);
  assert.equal(asked["resultType"], "input_required");
  const { requestState } = asked;
  assert.ok(typeof requestState === "string" && !requestState.includes("theirs"));
  const inputResponses = { a: { roots: [] } };
  const repeated = { ...call, inputResponses, requestState };
  assert.equal((await ask("tools/call", repeated))["resultType"], "complete");
  assert.deepEqual([calls[1]?.relay?.requestState, calls[1]?.relay?.inputResponses], ["theirs", inputResponses]);

  const other = { principal: principal({ client: "key_2" }) };
  const flipped = `${requestState.slice(0, -2)}${requestState.endsWith("AA") ? "BB" : "AA"}`;
  const wrong: readonly [JsonObject, object][] = [
    [repeated, other],
    [{ ...repeated, arguments: { n: 2 } }, {}],
    [{ ...repeated, name: "other__get_issue" }, {}],
    [{ ...repeated, requestState: flipped }, {}],
    [{ ...repeated, requestState: "" }, {}],
    [{ ...repeated, requestState: 1 }, {}],
    [{ ...repeated, inputResponses: [] }, {}],
  ];
  for (const [params, context] of wrong) {
    await assert.rejects(ask("tools/call", params, context), rpc(-32602, /requestState|inputResponses/));
  }
  assert.equal(calls.length, 2);
  await ask("tools/call", { ...call, inputResponses });
  assert.equal(calls[2]?.relay?.requestState, undefined);
});

test("a client with a session is never given an answer that asks for input", async () => {
  const { ask } = stageFace(() => ({ resultType: "input_required", inputRequests: {} }));
  const { session } = stageSession();
  const result = await ask("tools/call", { name: "repo__get_issue" }, { ...LEGACY, session });
  assert.equal(codeOf(result), "upstream_invalid");
});

test("a session hears what a server says until it ends, a stateless client hears nothing unasked", async () => {
  const { ask, listening } = stageFace();
  const { session, pushed } = stageSession();
  await ask("tools/list");
  assert.equal(listening.length, 0);
  await ask("tools/list", {}, { ...LEGACY, session });
  await ask("tools/list", {}, { ...LEGACY, session });
  assert.deepEqual(listening.map(({ service }) => service).sort(), ["other", "repo"]);
  const repo = listening.find(({ service }) => service === "repo");
  repo?.relay.notify("notifications/resources/updated", { uri: "repo://a" });
  assert.deepEqual(pushed, [
    { jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri: "doorward://repo/repo://a" } },
  ]);
});

test("a server that is slow to start is left out of the list, and told of when it comes", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { ask, surfaces } = stageFace();
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof surfaceOf>>();
  surfaces.set("repo", promise);
  const { session, pushed } = stageSession();
  const listing = ask("tools/list", {}, { ...LEGACY, session });
  await new Promise((settled) => setImmediate(settled));
  t.mock.timers.tick(8_000);
  assert.deepEqual(names(await listing).slice(2), ["other__get_issue"]);
  resolve(surfaceOf({ tools: [toolOf("get_issue")] }));
  await new Promise((settled) => setImmediate(settled));
  assert.deepEqual(pushed.at(-1)?.["method"], "notifications/tools/list_changed");
});

test("a server that does not answer delays one list, not the next ones; when it comes it is told of once, and listed", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { ask, surfaces, deps } = stageFace();
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof surfaceOf>>();
  surfaces.set("repo", promise);
  const { session, pushed } = stageSession();
  const first = ask("tools/list", {}, { ...LEGACY, session });
  await new Promise((settled) => setImmediate(settled));
  t.mock.timers.tick(8_000);
  await first;
  assert.deepEqual(deps.upstreams.silent.since("repo", deps.now()), deps.now());
  for (const era of [LEGACY, LEGACY, {}]) {
    const list = await ask("tools/list", {}, { ...era, session });
    assert.deepEqual(names(list).slice(2), ["other__get_issue"]);
  }
  assert.equal((await ask("tools/list"))["ttlMs"], 1_000);
  assert.match(
    JSON.stringify(await ask("tools/call", { name: "doorward_find_tools", arguments: { query: "" } })),
    /other__/,
  );
  resolve(surfaceOf({ tools: [toolOf("get_issue")] }));
  await new Promise((settled) => setImmediate(settled));
  assert.equal(pushed.filter(({ method }) => method === "notifications/tools/list_changed").length, 2);
  assert.equal(deps.upstreams.silent.since("repo", deps.now()), undefined);
  assert.ok(names(await ask("tools/list")).includes("repo__get_issue"));
});

test("who names a silent server waits for it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { ask, surfaces, deps } = stageFace();
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof surfaceOf>>();
  surfaces.set("repo", promise);
  deps.upstreams.silent.gaveUp({ service: "repo", agent: "bot" }, deps.now());
  const alone = ask("tools/list", {}, { service: "repo" });
  const search = ask("tools/call", { name: "doorward_find_tools", arguments: { query: "", service: "repo" } });
  await new Promise((settled) => setImmediate(settled));
  resolve(surfaceOf({ tools: [toolOf("get_issue")] }));
  assert.deepEqual(names(await alone), ["get_issue"]);
  assert.match(JSON.stringify(await search), /repo__get_issue/);
});
