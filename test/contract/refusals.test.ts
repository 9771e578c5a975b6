import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { exchangeRaw } from "../laws/raw-http.testing.ts";
import { type ContractStage, isProblem, readable, startContract } from "./contract.testing.ts";

const CONFIG = `version: 1
services:
  shop:
    url: UPSTREAM/v1
    private: true
    credential: { kind: bearer, secret: "local:shop" }
    limits: { request: 1KiB, response: 2KiB, timeout: 300ms }
    operations:
      items:read: { effect: read, allow: [GET /items, HEAD /items, "GET /items/{id}", GET /never, GET /big, "GET /status/{code}"] }
      items:write: { effect: write, allow: [POST /items] }
      items:forbidden: { effect: write, allow: [PUT /items] }
      items:held: { effect: destructive, allow: ["DELETE /items/{id}", HEAD /held], approval: { message: "Delete it" } }
      one: { effect: read, allow: [GET /both] }
      two: { effect: write, allow: [GET /both] }
  hidden: { url: UPSTREAM, private: true, operations: { read: { effect: read, allow: ["GET /{path...}"] } } }
  elsewhere: { url: UPSTREAM, private: true, tenant: acme, operations: { read: { effect: read, allow: ["GET /{path...}"] } } }
  nokey: { url: UPSTREAM, private: true, credential: { kind: bearer, secret: "local:absent" }, operations: { read: { effect: read, allow: ["GET /{path...}"] } } }
  down: { url: "http://127.0.0.1:1", private: true, operations: { read: { effect: read, allow: ["GET /{path...}"] } } }
roles:
  all: { allow: ["shop:*", "nokey:*", "down:*", "elsewhere:*"] }
  reader: { allow: ["shop:items:read"], rate: 2/minute }
  half: { allow: ["shop:one"] }
agents:
  bot: { roles: [all] }
  slow: { roles: [reader] }
  half: { roles: [half] }
policies:
  - { id: no-put, effect: forbid, on: "shop:items:forbidden" }
`;

describe("contract: refusals", () => {
  let stage: ContractStage;
  before(async () => {
    stage = await startContract(CONFIG, { agents: ["bot", "slow", "half"] });
  });
  after(() => stage[Symbol.asyncDispose]());

  test("invalid_token 401: missing, wrong and mistyped, the same words, WWW-Authenticate", async () => {
    const key = stage.home.key("bot");
    const wrong = [
      undefined,
      "Bearer nonsense",
      `Bearer ${key.slice(0, -1)}`,
      `Bearer ${key}x`,
      `Basic ${Buffer.from("a:b").toString("base64")}`,
    ];
    const words = new Set<string>();
    for (const value of wrong) {
      const headers = value === undefined ? [] : [["Authorization", value] as const];
      const answer = await stage.call("/api/shop/items", { as: null, headers });
      isProblem(answer, 401, "invalid_token");
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer /);
      words.add(`${answer.json.title} ${answer.json.detail} ${answer.json.remedy}`);
    }
    assert.equal(words.size, 1);
  });

  test("each token refused is an event, which tells a mistyped key from a wrong one", async () => {
    const key = stage.home.key("bot");
    const mistyped = await stage.call("/api/shop/items", {
      as: null,
      headers: [["Authorization", `Bearer ${key.slice(0, -2)}`]],
    });
    const [event] = stage.eventsOf(mistyped.json.request_id);
    assert.equal(event?.type, "token.refused");
    const unknown = await stage.call("/api/shop/items", { as: null, headers: [["Authorization", "Bearer nonsense"]] });
    assert.notEqual(stage.eventsOf(unknown.json.request_id)[0]?.["reason"], event?.["reason"]);
  });

  test("denied 403: `rule` names the one that forbids, or `default`", async () => {
    const forbidden = await stage.call("/api/shop/items", { method: "PUT" });
    isProblem(forbidden, 403, "denied");
    assert.equal(forbidden.json.rule, "policy:no-put");
    const nothing = await stage.call("/api/shop/items", { method: "POST", as: "slow" });
    isProblem(nothing, 403, "denied");
    assert.equal(nothing.json.rule, "default");
  });

  test("a request that matches several operations is allowed only if each of them allows it", async () => {
    assert.equal((await stage.call("/api/shop/both")).status, 200);
    isProblem(await stage.call("/api/shop/both", { as: "half" }), 403, "denied");
  });

  test("approval_required 403: approval_id, approval_url, expires_at at the top", async () => {
    const held = await stage.call("/api/shop/items/1", { method: "DELETE" });
    isProblem(held, 403, "approval_required");
    assert.match(held.json.approval_id, /^apr_/);
    assert.ok(held.json.approval_url.startsWith(`${stage.daemon.url}/`));
    assert.ok(Date.parse(held.json.expires_at) > Date.now());
  });

  test("not_canonical 400 names the part", async () => {
    for (const path of ["/a/../b", "/a//b", "/a%2e%2e/b", "/a/./b", "/%00", "/a%5cb", "/items/a%2Fb"]) {
      const answer = await stage.call(`/api/shop${path}`);
      isProblem(answer, 400, "not_canonical");
      assert.match(answer.json.detail, /path|segment|slash|character/);
    }
    isProblem(await stage.call("/api/shop/items?_method=DELETE"), 400, "not_canonical");
  });

  test("unknown_service 404: a service that the caller may not know of is as one that is not there", async () => {
    const missing = await stage.call("/api/missing/items");
    isProblem(missing, 404, "unknown_service");
    for (const name of ["hidden", "elsewhere"]) {
      for (const path of ["/items", "/items/%2e%2e", ""]) {
        const hidden = await stage.call(`/api/${name}${path}`);
        const { request_id: _id, ...shape } = hidden.json;
        const { request_id: _other, ...expected } = missing.json;
        assert.deepEqual(
          JSON.parse(JSON.stringify(shape).replaceAll(name, "missing").replaceAll(hidden.json.request_id, "ID")),
          JSON.parse(JSON.stringify(expected).replaceAll(missing.json.request_id, "ID")),
        );
        assert.deepEqual([...hidden.headers.keys()], [...missing.headers.keys()]);
      }
    }
  });

  test("unknown_operation 403", async () => {
    isProblem(await stage.call("/api/shop/nothing-here"), 403, "unknown_operation");
  });

  test("rate_limited 429 with Retry-After; a rule without `rate` has no limit of its own", async () => {
    assert.equal((await stage.call("/api/shop/items", { as: "slow" })).status, 200);
    assert.equal((await stage.call("/api/shop/items", { as: "slow" })).status, 200);
    const third = await stage.call("/api/shop/items", { as: "slow" });
    isProblem(third, 429, "rate_limited");
    assert.ok(Number(third.headers.get("retry-after")) >= 1);
    assert.equal(third.json.rule, "role:reader");
    for (let i = 0; i < 5; i++) assert.equal((await stage.call("/api/shop/items")).status, 200);
  });

  test("too_large 413", async () => {
    isProblem(await stage.call("/api/shop/items", { method: "POST", body: "x".repeat(1_025) }), 413, "too_large");
  });

  test("secret_unavailable 503, upstream_unreachable 502", async () => {
    isProblem(await stage.call("/api/nokey/x"), 503, "secret_unavailable");
    isProblem(await stage.call("/api/down/x"), 502, "upstream_unreachable");
  });

  test("upstream_too_large 502, upstream_timeout 504", async () => {
    isProblem(await stage.call("/api/shop/big?bytes=3000"), 502, "upstream_too_large");
    isProblem(await stage.call("/api/shop/never"), 504, "upstream_timeout");
  });

  test("invalid_request 400: JSON that is not JSON", async () => {
    const json = [["Content-Type", "application/json"]] as const;
    for (const body of ["{", "a=1"]) {
      isProblem(await stage.call("/api/shop/items", { method: "POST", headers: json, body }), 400, "invalid_request");
    }
    for (const body of ['{"a":1,"a":2}', '{"__proto__":1}']) {
      isProblem(await stage.call("/api/shop/items", { method: "POST", headers: json, body }), 400, "not_canonical");
    }
  });

  test("unsupported_encoding 415", async () => {
    isProblem(
      await stage.call("/api/shop/items", { method: "POST", headers: [["Content-Encoding", "gzip"]], body: "x" }),
      415,
      "unsupported_encoding",
    );
  });

  test("bad_origin 403, bad_host 421, on every route and on the socket", async () => {
    for (const path of ["/api/shop/items", "/mcp", "/healthz", "/readyz", "/metrics", "/nothing", "/admin/v1/status"]) {
      isProblem(await stage.call(path, { headers: [["Origin", "https://evil.example"]] }), 403, "bad_origin");
      isProblem(await stage.call(path, { host: "evil.example" }), 421, "bad_host");
    }
    const socket = `${stage.home.home}/doorward.sock`;
    isProblem(
      readable(await exchangeRaw(socket, ["GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n"])),
      421,
      "bad_host",
    );
    isProblem(
      readable(await exchangeRaw(socket, ["GET /healthz HTTP/1.1\r\nHost: doorward\r\nOrigin: http://x\r\n\r\n"])),
      403,
      "bad_origin",
    );
  });

  test("not_found 404, method_not_allowed 405 with Allow", async () => {
    for (const path of ["/", "/api", "/nothing", "/admin/v1/status"])
      isProblem(await stage.call(path), 404, "not_found");
    for (const [method, path] of [
      ["PUT", "/mcp"],
      ["GET", "/mcp"],
      ["POST", "/healthz"],
      ["POST", "/readyz"],
      ["DELETE", "/metrics"],
    ] as const) {
      const answer = await stage.call(path, { method });
      isProblem(answer, 405, "method_not_allowed");
      assert.ok(answer.headers.has("allow"), `${method} ${path}`);
    }
  });

  test("Doorward-Request-Id on every answer", async () => {
    const json = [["Content-Type", "application/json"]] as const;
    const answers = [
      await stage.call("/api/shop/items"),
      await stage.call("/api/shop/items", { method: "HEAD" }),
      await stage.call("/api/shop/status/204"),
      await stage.call("/api/shop/status/304"),
      await stage.call("/api/shop/status/500"),
      await stage.call("/healthz"),
      await stage.call("/readyz", { method: "HEAD" }),
      await stage.call("/metrics"),
      await stage.call("/mcp", { method: "POST", headers: json, body: "{" }),
      await stage.call("/mcp", {
        method: "POST",
        headers: json,
        body: '{"jsonrpc":"2.0","method":"notifications/initialized"}',
      }),
      await stage.call("/mcp", {
        method: "POST",
        headers: json,
        body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
      }),
      await stage.call("/mcp", { method: "POST", headers: [["Content-Type", "text/plain"]], body: "{}" }),
      await stage.call("/mcp", { method: "POST", as: null, headers: json, body: "{}" }),
      await stage.call("/api/shop/items", { headers: [["Expect", "something"]] }),
      readable(await exchangeRaw(stage.daemon.url, ["nonsense\r\n\r\n"])),
      readable(
        await exchangeRaw(stage.daemon.url, ["CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"]),
      ),
      readable(
        await exchangeRaw(stage.daemon.url, [`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${"y".repeat(40_000)}\r\n\r\n`]),
      ),
      readable(
        await exchangeRaw(stage.daemon.url, [
          "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        ]),
      ),
      readable(await exchangeRaw(stage.daemon.url, ["GET /healthz HTTP/1.0\r\n\r\n"])),
      readable(await exchangeRaw(stage.daemon.url, ["GET /healthz HTTP/1.1\r\n\r\n"])),
      readable(
        await exchangeRaw(`${stage.home.home}/doorward.sock`, [
          "GET /stdio HTTP/1.1\r\nHost: doorward\r\nUpgrade: doorward-stdio\r\nConnection: Upgrade\r\n\r\n",
        ]),
      ),
    ];
    for (const { status, headers, wire } of answers) {
      assert.match(headers.get("doorward-request-id") ?? "", /^req_/, `${status}: ${wire.subarray(0, 300)}`);
    }
    const ids = answers.map(({ headers }) => headers.get("doorward-request-id"));
    assert.equal(new Set(ids).size, ids.length);
  });

  test("HEAD refusals carry the code in Doorward-Error, and no body", async () => {
    for (const [path, code] of [
      ["/api/shop/nothing", "unknown_operation"],
      ["/api/shop/held", "approval_required"],
      ["/api/none/x", "unknown_service"],
      ["/nothing", "not_found"],
    ] as const) {
      const answer = await stage.call(path, { method: "HEAD" });
      assert.equal(answer.headers.get("doorward-error"), code);
      assert.equal(answer.body.length, 0);
    }
  });

  test("MCP: isError, text for people, structuredContent {error: {code, message, remedy, request_id, rule?}}", async () => {
    const denied = await stage.tool("bot", "doorward_request", { service: "shop", method: "PUT", path: "/items" });
    assert.equal(denied.isError, true);
    const { code, message, remedy, request_id, rule } = denied.error;
    assert.equal(code, "denied");
    assert.equal(rule, "policy:no-put");
    for (const value of [message, remedy, request_id]) assert.equal(typeof value, "string");
    assert.equal(denied.http?.headers.get("doorward-request-id"), request_id);
    const { result } = JSON.parse(denied.http?.body.toString("utf8") ?? "");
    assert.equal(result.content[0].type, "text");
    assert.ok(result.content[0].text.includes(message));
    const held = await stage.tool("bot", "doorward_request", { service: "shop", method: "DELETE", path: "/items/7" });
    for (const field of ["approval_id", "approval_url", "expires_at"]) assert.equal(typeof held.error[field], "string");
  });

  test("MCP: header_refused, where /api drops", async () => {
    const refused = await stage.tool("bot", "doorward_request", {
      service: "shop",
      method: "GET",
      path: "/items",
      headers: { "X-Other": "1" },
    });
    assert.equal(refused.error.code, "header_refused");
    for (const header of [
      "X-HTTP-Method-Override",
      "Host",
      "Authorization",
      "Range",
      "Cookie",
      "User-Agent",
      "X-Forwarded-For",
    ]) {
      const one = await stage.tool("bot", "doorward_request", {
        service: "shop",
        method: "GET",
        path: "/items",
        headers: { [header]: "DELETE" },
      });
      assert.equal(one.error.code, "header_refused", header);
    }
  });
});
