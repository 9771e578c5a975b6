import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Secret } from "../base/secret.ts";
import { testEgress } from "../egress/egress.testing.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Lease } from "../vault/create-vault.ts";
import { createEgressFetch } from "./egress-fetch.ts";
import { serve, serveMcp, sessionful } from "./http-server.testing.ts";
import { callOf, compiled, relayOf, STAGED_KEY, sendCall, stage, textOf, until } from "./upstreams.testing.ts";

const LEASE = { secret: new Secret(STAGED_KEY), version: "1", expiresAt: new Date(8e15), short: false } as Lease;

function remote(origin: string, path = "/mcp", legacySse = false): CompiledMcpService {
  const { protocol, hostname: host, port } = new URL(origin);
  const url = { origin, protocol: protocol as "http:", host, port: Number(port), basePath: path };
  return compiled({
    private: true,
    credential: { kind: "bearer", secret: "local:token" },
    server: { transport: "http", url, legacySse },
  });
}

function httpStage(t: TestContext) {
  return stage(t, {
    egress: testEgress(t),
    authorise: async () => ({ credential: { kind: "bearer", secret: "local:token" }, lease: LEASE }),
  });
}

for (const era of ["modern", "legacy"] as const) {
  test(`a server over HTTP in the ${era} revision is called with the credential put on`, async (t) => {
    const { origin, seen } = await serveMcp(t, era);
    const { upstreams } = httpStage(t);
    const relay = relayOf({ meta: { traceparent: "00-abc", progressToken: "never" } });
    const outcome = await sendCall(upstreams, callOf(remote(origin), "echo", { a: "b" }, { relay }));
    assert.equal(textOf(outcome), '{"a":"b"}');
    assert.equal(upstreams.status()[0]?.era, era);
    assert.ok(seen.every(({ headers }) => headers.authorization === `Bearer ${STAGED_KEY}`));
    const call = seen.find(({ body }) => body.includes("tools/call"));
    assert.match(call?.body ?? "", /"traceparent":"00-abc"/);
    assert.equal(call?.body.includes("never"), false);
    if (era === "legacy") assert.ok(call?.headers["mcp-session-id"]);
    else assert.equal(call?.headers["mcp-name"], "echo");
  });
}

test("a session upstream is ended when the connection is", async (t) => {
  const { origin, seen } = await serveMcp(t, "legacy");
  const { upstreams } = httpStage(t);
  await sendCall(upstreams, callOf(remote(origin), "echo"));
  await upstreams.stopService("srv");
  assert.ok(seen.some(({ method }) => method === "DELETE"));
});

test("a session that the server has forgotten fails one call, and the next has another", async (t) => {
  const sessions = [sessionful(), sessionful()];
  const { origin } = await serve(t, (request) => sessions[0]!(request));
  const { upstreams } = httpStage(t);
  const service = remote(origin);
  assert.equal(textOf(await sendCall(upstreams, callOf(service, "echo"))), "{}");
  sessions.shift();
  const { problem } = await sendCall(upstreams, callOf(service, "echo"));
  assert.equal(problem?.code, "upstream_unreachable");
  await until(() => upstreams.status().length === 0);
  assert.equal(textOf(await sendCall(upstreams, callOf(service, "echo"))), "{}");
});

test("a newer server over HTTP asks a newer client by the call's result", async (t) => {
  const { origin } = await serveMcp(t, "modern");
  const { upstreams } = httpStage(t);
  const relay = relayOf({ era: "modern", capabilities: { elicitation: { form: {} } } });
  const first = await sendCall(upstreams, callOf(remote(origin), "ask", {}, { relay }));
  const back = relayOf({
    ...relay,
    requestState: String(first.value?.["requestState"]),
    inputResponses: { who: { action: "accept", content: { nickname: "n" } } },
  });
  const last = await sendCall(upstreams, callOf(remote(origin), "ask", {}, { relay: back }));
  assert.deepEqual(JSON.parse(textOf(last)), {
    who: { action: "accept", content: { nickname: "n" } },
    state: "round-1",
  });
});

test("a refused credential, a redirect, and an answer that is none are named", async (t) => {
  const cases: [string, () => Response, RegExp][] = [
    ["401", () => new Response("no", { status: 401 }), /refuses the credential \(401\)/],
    [
      "redirect",
      () => new Response(null, { status: 307, headers: { location: "http://127.0.0.1:1/" } }),
      /307|cannot be spoken to/,
    ],
    ["html", () => new Response("<html>", { headers: { "content-type": "text/html" } }), /protocol|cannot/],
    ["echo of the key", () => new Response(STAGED_KEY, { status: 500 }), /status 500/],
  ];
  for (const [name, answer, words] of cases) {
    const { origin, seen } = await serve(t, async () => answer());
    const { upstreams } = httpStage(t);
    const { problem } = await sendCall(upstreams, callOf(remote(origin), "echo"));
    assert.match(problem?.code ?? "", /^upstream_/, name);
    assert.match(problem?.message ?? "", words, name);
    assert.equal(`${problem?.message}${problem?.reason}${problem?.stack}`.includes(STAGED_KEY), false, name);
    assert.ok(seen.length <= 3, name);
  }
});

test("a server that cannot be reached is named, and an address that may not be dialled too", async (t) => {
  const { upstreams } = httpStage(t);
  const gone = await sendCall(upstreams, callOf(remote("http://127.0.0.1:9"), "echo"));
  assert.equal(gone.problem?.code, "upstream_unreachable");
  const forbidden = await sendCall(upstreams, callOf(remote("http://169.254.169.254"), "echo"));
  assert.equal(forbidden.problem?.code, "upstream_forbidden_address");
});

test("an event without end, and an answer over the limit, end their call", async (t) => {
  const { origin } = await serve(t, async (request) => {
    const { id, method } = (request.method === "POST" ? await request.json() : {}) as { id?: number; method?: string };
    if (request.method !== "POST") return new Response(null, { status: 405 });
    if (method === "notifications/initialized") return new Response(null, { status: 202 });
    if (method === "initialize")
      return json(id, {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "x", version: "1" },
      });
    if (method === "tools/list") return json(id, { tools: [] });
    if (method === "tools/call") {
      const block = new TextEncoder().encode(`data: ${"x".repeat(65_536)}`);
      const stream = new ReadableStream({ pull: (controller) => controller.enqueue(block) });
      return new Response(stream, { headers: { "content-type": "text/event-stream" } });
    }
    return new Response(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32_601, message: "no" } }), {
      headers: { "content-type": "application/json" },
    });
  });
  const { upstreams } = httpStage(t);
  const { problem } = await sendCall(upstreams, callOf(remote(origin), "echo", {}, { timeoutMs: 8_000 }));
  assert.equal(problem?.code, "upstream_too_large");
});

test("the endpoint that an old server names cannot be at another origin", async (t) => {
  const other = await serve(t, async () => new Response("{}", { status: 202 }));
  const { origin, seen } = await serve(t, async (request) => {
    if (request.method !== "GET") return new Response(null, { status: 405 });
    const body = new TextEncoder().encode(`event: endpoint\ndata: ${other.origin}/messages\n\n`);
    const stream = new ReadableStream({ start: (controller) => controller.enqueue(body) });
    return new Response(stream, { headers: { "content-type": "text/event-stream" } });
  });
  const { upstreams } = httpStage(t);
  const { problem } = await sendCall(upstreams, callOf(remote(origin, "/sse", true), "echo", {}, { timeoutMs: 2_000 }));
  assert.match(problem?.code ?? "", /^upstream_/);
  assert.equal(other.seen.length, 0);
  await until(() => seen.length > 0);
});

test("a request of a connection leaves its origin neither with the credential nor without", async () => {
  const { config } = remote("https://mcp.example");
  const fetch = createEgressFetch({
    egress: {
      send() {
        throw new Error("it was sent");
      },
    },
    url: config.server.transport === "http" ? config.server.url : assert.fail(),
    private: false,
    ca: undefined,
    authorise: () => assert.fail("the credential was asked for"),
    sensitive: () => {},
    answerBytes: 1_000,
    brokenOff: () => {},
  });
  for (const url of ["https://mcp.example:444/mcp", "http://mcp.example/mcp", "https://mcp.example.evil/mcp"]) {
    await assert.rejects(fetch(url), /another origin/);
  }
});

test("a refused request is sent again once, after a 401 alone, and only where there is another token", async (t) => {
  const facts = { status: 200 };
  const { origin, seen } = await serve(t, async () => new Response("no", { status: facts.status }));
  const { config } = remote(origin);
  let told = 0;
  const sentFor = async (status: number, refused?: () => void) => {
    facts.status = status;
    const before = seen.length;
    const leased = { credential: { kind: "bearer", secret: "" }, lease: LEASE } as const;
    const fetch = createEgressFetch({
      egress: testEgress(t),
      url: config.server.transport === "http" ? config.server.url : assert.fail(),
      private: true,
      ca: undefined,
      authorise: async () => (refused === undefined ? leased : { ...leased, refused }),
      sensitive: () => {},
      answerBytes: 1_000,
      brokenOff: () => {},
    });
    const answer = await fetch(`${origin}/mcp`, { method: "POST", body: "{}" });
    assert.equal(answer.status, status);
    await answer.text();
    return seen.length - before;
  };
  const refused = () => {
    told += 1;
  };
  for (const status of [200, 400, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504]) {
    assert.equal(await sentFor(status, refused), 1, `${status}`);
  }
  assert.equal(told, 0);
  assert.equal(await sentFor(401, refused), 2);
  assert.equal(told, 1);
  assert.equal(await sentFor(401), 1);
});

function json(id: unknown, result: unknown): Response {
  return new Response(JSON.stringify({ jsonrpc: "2.0", id, result }), {
    headers: { "content-type": "application/json" },
  });
}
