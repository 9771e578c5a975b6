import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { sendProblem } from "../base/send-problem.ts";
import { principal } from "../policy/policy.testing.ts";
import { type Script, stageFace } from "./face.testing.ts";
import { createLegacySse } from "./legacy-sse.ts";

async function serve(t: TestContext, script?: Script) {
  const face = stageFace(script);
  const ended: string[] = [];
  const sse = createLegacySse({
    dispatch: face.dispatch,
    ended: (id) => void ended.push(id),
    async refused() {},
  });
  const server = createServer((request, response) => {
    const caller = {
      principal: principal({ client: `${request.headers["x-client"] ?? "key_1"}` }),
      requestId: "req_1",
    };
    const serving = async () =>
      request.url === "/sse" ? sse.stream(request, response, caller) : sse.message(request, response, caller);
    serving().catch((error: unknown) => error instanceof Problem && sendProblem(response, error, "req_1"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    sse.endAll();
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const open = async () => {
    const { body } = await fetch(`${base}/sse`);
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
    let buffered = "";
    const next = async (): Promise<string | undefined> => {
      for (;;) {
        const end = buffered.indexOf("\n\n");
        if (end !== -1) {
          const data = /^data: (.*)$/m.exec(buffered.slice(0, end))?.[1];
          buffered = buffered.slice(end + 2);
          if (data !== undefined) return data;
        }
        const { value, done } = await reader.read();
        if (done) return undefined;
        buffered += value;
      }
    };
    const place = await next();
    assert.match(place ?? "", /^\/messages\?sessionId=sse_/);
    const message = async () => JSON.parse((await next()) ?? "null") as JsonObject | null;
    return { place: place!, next: message };
  };
  const post = (place: string, message: JsonObject, headers: Record<string, string> = {}) =>
    fetch(base + place, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ jsonrpc: "2.0", ...message }),
    });
  return { ...face, open, post, sse, ended };
}

test("answers, notifications and questions come on the stream", async (t) => {
  const { open, post } = await serve(t, async ({ relay }) => {
    relay!.notify("notifications/message", { level: "info", data: "x" });
    const { action = null } = await relay!.request("elicitation/create", { message: "who?" });
    return { content: [], action };
  });
  const { place, next } = await open();
  const params = { protocolVersion: "2024-11-05", capabilities: { elicitation: {} } };
  assert.equal((await post(place, { id: 0, method: "initialize", params })).status, 202);
  assert.equal(((await next())!["result"] as JsonObject)["protocolVersion"], "2024-11-05");
  await post(place, { id: 1, method: "tools/call", params: { name: "repo__get_issue" } });
  assert.equal((await next())!["method"], "notifications/message");
  const question = (await next())!;
  assert.equal(question["method"], "elicitation/create");
  await post(place, { id: question["id"]!, result: { action: "decline" } });
  const answer = (await next())!;
  assert.deepEqual([answer["id"], (answer["result"] as JsonObject)["action"]], [1, "decline"]);
});

test("a stream is its opener's alone, and over when it says so", async (t) => {
  const { open, post, calls, sse, ended } = await serve(t);
  const { place, next } = await open();
  const call = { id: 1, method: "tools/call", params: { name: "repo__get_issue" } };
  assert.equal((await post(place, call, { "x-client": "key_2" })).status, 404);
  assert.equal((await post("/messages?sessionId=sse_none", call)).status, 404);
  assert.equal((await post(place, call, { "content-type": "text/plain" })).status, 400);
  assert.equal(calls.length, 0);
  assert.equal(
    sse.endAll(({ agent }) => agent === "other"),
    0,
  );
  assert.equal(
    sse.endAll(({ agent }) => agent === "bot"),
    1,
  );
  assert.equal(await next(), null);
  assert.equal(ended.length, 1);
  assert.equal((await post(place, call)).status, 404);
});
