import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Exchange } from "../egress/answer.ts";
import { principal } from "../policy/policy.testing.ts";
import {
  alive,
  callOf,
  dualEra,
  relayOf,
  STAGED_KEY,
  scripted,
  sendCall,
  stage,
  textOf,
  until,
} from "./upstreams.testing.ts";

test("a tool is called, and what the server offers is judged before", async (t) => {
  const { upstreams, judged, events, children } = stage(t);
  const outcome = await sendCall(upstreams, callOf(scripted(), "echo", { a: 1 }));
  assert.equal(outcome.status, 200);
  assert.equal(textOf(outcome), '{"a":1}');
  assert.equal(children.length, 1);
  assert.deepEqual(
    judged[0]?.tools.map(({ name }) => name),
    ["echo", "env", "slow"],
  );
  assert.equal(events[0]?.type, "upstream.started");
});

test("what the caller's side finds wrong with a tool's definition ends the call before the server hears of it", async (t) => {
  const { upstreams, judged } = stage(t);
  const seen: unknown[] = [];
  const relay = {
    ...relayOf(),
    toolFault(definition: JsonObject) {
      seen.push(definition["name"]);
      return { code: -32_020, message: "headers and body disagree" };
    },
  };
  const { status, value } = await sendCall(upstreams, callOf(scripted(), "slow", {}, { relay }));
  assert.equal(status, 400);
  assert.deepEqual(value, { error: { code: -32_020, message: "headers and body disagree" } });
  assert.deepEqual(seen, ["slow"]);
  assert.equal(judged.length, 1);
});

test("the SDK's server is spoken to in the newer revision", async (t) => {
  const { upstreams } = stage(t);
  const outcome = await sendCall(upstreams, callOf(dualEra(["modern"]), "echo", { a: "b" }));
  assert.equal(textOf(outcome), '{"a":"b"}');
  assert.equal(upstreams.status()[0]?.era, "modern");
});

test("the child has a placeholder of the secret's shape, its declared environment, and nothing of ours", async (t) => {
  const { upstreams, sessions } = stage(t);
  const env = JSON.parse(textOf(await sendCall(upstreams, callOf(scripted(), "env")))) as Record<string, string>;
  assert.equal(env["TOKEN"]?.length, STAGED_KEY.length);
  assert.match(env["TOKEN"] ?? "", /^ghp_/);
  assert.notEqual(env["TOKEN"], STAGED_KEY);
  assert.deepEqual(Object.keys(env).sort(), ["PLAIN", "TOKEN"]);
  const [session] = sessions;
  assert.equal(session?.placeholder?.value, env["TOKEN"]);
  assert.equal(session?.principal.agent, "service:srv");
  const at = (protocol: "http:" | "https:", host: string, port: number) => session?.route({ protocol, host, port });
  assert.equal(at("https:", "api.example", 443)?.service, "srv");
  assert.equal(at("http:", "api.example", 443), undefined);
  assert.equal(at("https:", "api.example", 444), undefined);
  assert.equal(at("https:", "other.example", 443), undefined);
});

test("the secret does not come back, in texts, keys, blobs, errors and progress", async (t) => {
  const { upstreams } = stage(t);
  const blob = Buffer.from(`png ${STAGED_KEY} png`).toString("base64");
  const result = {
    content: [
      { type: "text", text: `key ${STAGED_KEY}` },
      { type: "image", mimeType: "image/png", data: blob },
      { type: "resource", resource: { uri: "x:y", blob } },
      { type: "resource_link", uri: `x:${encodeURIComponent(STAGED_KEY)}`, name: "n" },
    ],
    structuredContent: { [STAGED_KEY]: { deep: [Buffer.from(STAGED_KEY).toString("hex")] } },
    _meta: { k: STAGED_KEY },
  };
  let exchange: Exchange | undefined;
  const outcome = await sendCall(upstreams, callOf(scripted(), "say", { result }), (begun) => {
    exchange = begun;
  });
  const text = JSON.stringify(outcome.value);
  assert.equal(text.includes(STAGED_KEY), false);
  assert.equal(text.includes(blob), false);
  assert.equal(text.includes(Buffer.from(STAGED_KEY).toString("hex")), false);
  assert.ok((exchange?.redacted ?? 0) >= 6);
});

test("an error of the server is an answer with status 400", async (t) => {
  const { upstreams } = stage(t);
  const { status, value } = await sendCall(upstreams, callOf(scripted(), "error"));
  assert.equal(status, 400);
  assert.deepEqual(value, { error: { code: -32_050, message: "it went wrong", data: { hint: "x" } } });
});

test("prompts, resources and completions are relayed", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  const prompt = await sendCall(upstreams, callOf(service, "greet", { who: "me" }, { method: "prompts/get" }));
  assert.match(JSON.stringify(prompt.value), /hello me/);
  const read = await sendCall(upstreams, callOf(service, "memo://one", {}, { method: "resources/read" }));
  assert.match(JSON.stringify(read.value), /memo:\/\/one/);
  const params = { ref: { type: "ref/prompt", name: "greet" }, argument: { name: "who", value: "m" } };
  const complete = await sendCall(upstreams, callOf(service, "greet", params, { method: "completion/complete" }));
  assert.deepEqual(complete.value, { completion: { values: ["m"] } });
});

test("progress carries the caller's own token; trace context goes along and the caller's protocol state does not", async (t) => {
  const { upstreams } = stage(t);
  const relay = relayOf({ progressToken: "mine", meta: { traceparent: "00-1", "io.modelcontextprotocol/x": 1 } });
  await sendCall(upstreams, callOf(scripted(), "progress", {}, { relay }));
  assert.deepEqual(
    relay.told.map(([method, params]) => [method, params["progressToken"], params["progress"]]),
    [
      ["notifications/progress", "mine", 1],
      ["notifications/progress", "mine", 2],
    ],
  );
});

test("a log message reaches the one client whose call is under way", async (t) => {
  const { upstreams } = stage(t);
  const relay = relayOf();
  await sendCall(upstreams, callOf(scripted(), "log", {}, { relay }));
  assert.deepEqual(relay.told, [["notifications/message", { level: "info", data: "a line" }]]);
});

test("a log message reaches nobody while two clients wait", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  const one = relayOf({ key: "one" });
  const other = relayOf({ key: "other" });
  let waiting: Exchange | undefined;
  const first = sendCall(upstreams, callOf(service, "slow", {}, { relay: one }), (exchange) => {
    waiting = exchange;
  });
  await sendCall(upstreams, callOf(service, "echo", {}));
  await sendCall(upstreams, callOf(service, "log", {}, { relay: other }));
  waiting?.abort(new Problem("invalid_request"));
  await first;
  assert.deepEqual([one.told, other.told], [[], []]);
});

test("an older server asks an older client directly, and says where the question comes from", async (t) => {
  const { upstreams } = stage(t);
  const relay = relayOf({ capabilities: { elicitation: {} } });
  const outcome = await sendCall(upstreams, callOf(scripted(), "ask", {}, { relay }));
  assert.equal(textOf(outcome), '{"action":"accept","content":{}}');
  assert.equal(relay.asked[0]?.[0], "elicitation/create");
  assert.equal(relay.asked[0]?.[1]["message"], "[srv] Who are you?");
});

test("a client that did not declare it is never asked", async (t) => {
  const { upstreams } = stage(t);
  const relay = relayOf({ capabilities: {} });
  const asked = textOf(await sendCall(upstreams, callOf(scripted(), "ask", {}, { relay })));
  const roots = textOf(await sendCall(upstreams, callOf(scripted(), "roots", {}, { relay })));
  assert.match(asked, /did not declare/);
  assert.match(roots, /did not declare/);
  assert.deepEqual(relay.asked, []);
});

test("a form that asks for a password is declined and recorded", async (t) => {
  const { upstreams, events } = stage(t);
  const relay = relayOf({ capabilities: { elicitation: {} } });
  const outcome = await sendCall(upstreams, callOf(scripted(), "askPassword", {}, { relay }));
  assert.equal(textOf(outcome), '{"action":"decline"}');
  assert.deepEqual(relay.asked, []);
  assert.ok(events.some(({ type, data }) => type === "upstream.refused" && data?.["reason"] !== undefined));
});

test("a server that asks in a loop for what is declined does not fill the evidence", async (t) => {
  const { upstreams, events } = stage(t);
  const relay = relayOf({ capabilities: { elicitation: {} } });
  const service = scripted();
  for (let time = 0; time < 35; time++) await sendCall(upstreams, callOf(service, "askPassword", {}, { relay }));
  const declined = () => events.filter(({ type }) => type === "upstream.refused");
  assert.equal(declined().length, 30);
  await upstreams[Symbol.asyncDispose]();
  assert.equal(declined().length, 31);
  assert.equal(declined().at(-1)?.data?.["count"], 5);
});

test("the status says since when lists go without a server", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  await sendCall(upstreams, callOf(service, "echo", {}));
  const name = service.config.name;
  assert.equal(upstreams.status()[0]?.silentSince, undefined);
  const now = new Date();
  upstreams.silent.gaveUp({ service: name, agent: "bot" }, now);
  assert.equal(upstreams.status()[0]?.silentSince, now);
  upstreams.surfaceChanged(name);
  assert.equal(upstreams.status()[0]?.silentSince, undefined);
});

test("an older server asks a newer client by the call's result, and goes on with the answer", async (t) => {
  const { upstreams, children } = stage(t);
  const service = scripted();
  const capabilities = { elicitation: {}, sampling: {} };
  const relay = relayOf({ key: "bot+key", era: "modern", capabilities });
  const first = await sendCall(upstreams, callOf(service, "askTwice", {}, { relay }));
  assert.equal(first.value?.["resultType"], "input_required");
  const requests = first.value?.["inputRequests"] as Record<string, { method: string; params: { message: string } }>;
  const [[id, request] = ["", undefined]] = Object.entries(requests);
  assert.equal(request?.method, "elicitation/create");
  assert.equal(request?.params.message, "[srv] Who are you?");

  const requestState = String(first.value?.["requestState"]);
  const answered = relayOf({
    ...relay,
    inputResponses: { [id]: { action: "accept", content: { nickname: "n" } } },
    requestState,
  });
  const second = await sendCall(upstreams, callOf(service, "askTwice", {}, { relay: answered }));
  const [next = ""] = Object.keys(second.value?.["inputRequests"] as object);
  const again = relayOf({
    ...relay,
    inputResponses: { [next]: { role: "assistant" } },
    requestState: String(second.value?.["requestState"]),
  });
  const last = await sendCall(upstreams, callOf(service, "askTwice", {}, { relay: again }));
  assert.equal(textOf(last), '[{"action":"accept","content":{"nickname":"n"}},{"role":"assistant"}]');
  assert.equal(children.length, 1);
});

test("what is parked is nobody else's, and no other call's", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  const relay = relayOf({ era: "modern", capabilities: { elicitation: {} } });
  const first = await sendCall(upstreams, callOf(service, "ask", { a: 1 }, { relay }));
  const requestState = String(first.value?.["requestState"]);
  const back = relayOf({ ...relay, requestState, inputResponses: { ask_1: { action: "accept" } } });
  for (const different of [{ agent: "other" }, { client: "other" }, { user: "user:other" }, { tenant: "other" }]) {
    const as = { ...principal(), ...different };
    const other = await sendCall(upstreams, callOf(service, "ask", { a: 1 }, { relay: back, principal: as }));
    assert.equal(other.problem?.code, "invalid_request");
  }
  const changed = await sendCall(upstreams, callOf(service, "ask", { a: 2 }, { relay: back }));
  assert.equal(changed.problem?.code, "invalid_request");
  const mine = await sendCall(upstreams, callOf(service, "ask", { a: 1 }, { relay: back }));
  assert.equal(textOf(mine), '{"action":"accept"}');
  const twice = await sendCall(upstreams, callOf(service, "ask", { a: 1 }, { relay: back }));
  assert.equal(twice.problem?.code, "invalid_request");
});

test("what is parked does not go on after a kill of who asked, or of what was asked for", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  const relay = relayOf({ era: "modern", capabilities: { elicitation: {} } });
  const { agent } = principal();
  for (const [target, code] of [
    ["agent:somebody-else", undefined],
    ["operation:other:ask", undefined],
    [`agent:${agent}`, "invalid_request"],
    ["operation:srv:ask", "invalid_request"],
    ["all", "invalid_request"],
  ] as const) {
    const first = await sendCall(upstreams, callOf(service, "ask", {}, { relay }));
    upstreams.dropParked({ target, why: "", setBy: "owner", setAt: new Date(0) });
    const requestState = String(first.value?.["requestState"]);
    const back = relayOf({ ...relay, requestState, inputResponses: { ask_1: { action: "accept" } } });
    const { problem } = await sendCall(upstreams, callOf(service, "ask", {}, { relay: back }));
    assert.equal(problem?.code, code, target);
  }
});

test("a newer server's question passes to a newer client, with its state", async (t) => {
  const { upstreams } = stage(t);
  const service = dualEra(["modern"]);
  const relay = relayOf({ era: "modern", capabilities: { elicitation: { form: {} } } });
  const first = await sendCall(upstreams, callOf(service, "ask", {}, { relay }));
  assert.equal(first.value?.["resultType"], "input_required");
  assert.match(JSON.stringify(first.value?.["inputRequests"]), /\[srv\] Who are you\?/);
  const back = relayOf({
    ...relay,
    requestState: String(first.value?.["requestState"]),
    inputResponses: { who: { action: "accept", content: { nickname: "n" } } },
  });
  const last = await sendCall(upstreams, callOf(service, "ask", {}, { relay: back }));
  assert.deepEqual(JSON.parse(textOf(last)), {
    who: { action: "accept", content: { nickname: "n" } },
    state: "round-1",
  });
});

test("a newer server's question is put to an older client as a request", async (t) => {
  const { upstreams } = stage(t);
  const relay = relayOf({ capabilities: { elicitation: { form: {} } } }, () => ({
    action: "accept",
    content: { nickname: "n" },
  }));
  const outcome = await sendCall(upstreams, callOf(dualEra(["modern"]), "ask", {}, { relay }));
  assert.deepEqual(JSON.parse(textOf(outcome)), {
    who: { action: "accept", content: { nickname: "n" } },
    state: "round-1",
  });
  assert.equal(relay.asked.length, 1);
});

test("a newer server that asks for a password is answered here", async (t) => {
  const { upstreams } = stage(t);
  const relay = relayOf({ era: "modern", capabilities: { elicitation: { form: {} } } });
  const outcome = await sendCall(upstreams, callOf(dualEra(["modern"]), "askPassword", {}, { relay }));
  assert.equal(textOf(outcome), '{"action":"decline"}');
});

test("a resource's change is told to who subscribed, and to nobody who left", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  const one = relayOf({ key: "one" });
  const other = relayOf({ key: "other" });
  for (const relay of [one, other]) {
    await sendCall(upstreams, callOf(service, "memo://one", {}, { relay, method: "resources/subscribe" }));
  }
  await sendCall(upstreams, callOf(service, "memo://one", {}, { relay: other, method: "resources/unsubscribe" }));
  await sendCall(upstreams, callOf(service, "touch", { uri: "memo://one" }));
  await sendCall(upstreams, callOf(service, "touch", { uri: "memo://ones" }));
  assert.deepEqual(one.told, [["notifications/resources/updated", { uri: "memo://one" }]]);
  assert.deepEqual(other.told, []);
});

test("when its lists change they are read and judged again before the next call", async (t) => {
  const { upstreams, judged } = stage(t);
  const service = scripted();
  const relay = relayOf({ key: "hears" });
  const deaf = upstreams.listen("srv", relay);
  await sendCall(upstreams, callOf(service, "change"));
  await sendCall(upstreams, callOf(service, "echo"));
  assert.equal(judged.length, 2);
  const surface = await upstreams.surface(service, principal({ agent: "bot" }), undefined);
  assert.ok(surface.tools.some(({ name }) => name === "added"));
  deaf();
});

test("a call whose item turns out to be held is not sent", async (t) => {
  const { upstreams, held } = stage(t);
  held.add("echo");
  const { problem } = await sendCall(upstreams, callOf(scripted(), "echo"));
  assert.equal(problem?.code, "denied");
});

test("clients that can be asked have a child of their own, which ends with their session", async (t) => {
  const { upstreams, children, events } = stage(t);
  const service = scripted();
  for (const key of ["one", "other"]) {
    const relay = relayOf({ key, capabilities: { elicitation: {} } });
    await sendCall(upstreams, callOf(service, "echo", {}, { relay }));
  }
  for (const key of ["three", "four"])
    await sendCall(upstreams, callOf(service, "echo", {}, { relay: relayOf({ key }) }));
  assert.equal(children.length, 3);
  upstreams.endSession("one");
  await until(() => events.some(({ type }) => type === "upstream.stopped"));
  assert.equal(alive(children[0]!.pid), false);
  assert.equal(alive(children[1]!.pid), true);
  assert.equal(upstreams.status().length, 2);
});

test("sessions that come and go leave nothing behind", async (t) => {
  const { upstreams, children } = stage(t);
  const service = scripted();
  for (let round = 0; round < 3; round++) {
    const keys = Array.from({ length: 4 }, (_, index) => `session-${round}-${index}`);
    await Promise.all(
      keys.map(async (key) => {
        const relay = relayOf({ key, capabilities: { elicitation: {} } });
        upstreams.listen("srv", relay);
        await sendCall(upstreams, callOf(service, "echo", {}, { relay }));
        await sendCall(upstreams, callOf(service, "memo://one", {}, { relay, method: "resources/subscribe" }));
      }),
    );
    for (const key of keys) upstreams.endSession(key);
  }
  await until(() => children.every(({ pid }) => !alive(pid)));
  assert.equal(children.length, 12);
  assert.deepEqual(upstreams.status(), []);
});

test("an agent's connections are bounded; the one unused for longest makes room", async (t) => {
  const { upstreams, children, services } = stage(t);
  const service = scripted();
  // Eighteen processes may take longer than the time between two looks at what is still in the file.
  services.set(service.config.name, service);
  for (let index = 0; index < 18; index++) {
    const relay = relayOf({ key: `session-${index}`, capabilities: { elicitation: {} } });
    await sendCall(upstreams, callOf(service, "echo", {}, { relay }));
  }
  await until(() => !alive(children[0]!.pid) && !alive(children[1]!.pid));
  assert.equal(upstreams.status().length, 16);
  assert.equal(alive(children[17]!.pid), true);
});
