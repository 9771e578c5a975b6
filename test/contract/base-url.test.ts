import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { everythingOf } from "../harness/double.testing.ts";
import { ANSWER_HEADERS, type ContractStage, isProblem, SHOP_KEY, startContract } from "./contract.testing.ts";

const ALL = '{ read: { effect: read, allow: ["GET /{path...}", "HEAD /{path...}", "POST /{path...}"] } }';
const CONFIG = `version: 1
services:
  bearer:
    url: UPSTREAM/v1
    private: true
    credential: { kind: bearer, secret: "local:shop" }
    headers: { allow: [X-Passes], set: { X-Set: by-the-file } }
    operations: ${ALL}
  basic: { url: UPSTREAM/v1, private: true, credential: { kind: basic, username: vendor, secret: "local:shop" }, operations: ${ALL} }
  header: { url: UPSTREAM/v1, private: true, credential: { kind: header, name: X-Api-Key, secret: "local:shop", prefix: "Key " }, operations: ${ALL} }
  query: { url: UPSTREAM/v1, private: true, credential: { kind: query, name: api_key, secret: "local:shop" }, operations: ${ALL} }
  none: { url: UPSTREAM/v1, private: true, operations: ${ALL} }
  root: { url: UPSTREAM, private: true, operations: ${ALL} }
  ranged: { url: UPSTREAM/v1, private: true, operations: { read: { effect: read, ranges: true, allow: ["GET /{path...}"] } } }
  small: { url: UPSTREAM/v1, private: true, limits: { response: 100KiB }, operations: ${ALL} }
  slash: { url: UPSTREAM/v1, private: true, operations: { read: { effect: read, allow: ["GET /p/{project:encoded}"] } } }
roles: { all: { allow: ["*"] } }
agents: { bot: { roles: [all] } }
`;

describe("contract: services, credentials and the base URL", () => {
  let stage: ContractStage;
  before(async () => {
    stage = await startContract(CONFIG, { agents: ["bot"] });
  });
  after(() => stage[Symbol.asyncDispose]());

  test("credential kinds: bearer, basic (secret = password), header with prefix, query, none", async () => {
    await stage.call("/api/bearer/a");
    assert.equal(stage.double.last().headers["authorization"], `Bearer ${SHOP_KEY}`);
    await stage.call("/api/basic/a");
    const basic = Buffer.from(`vendor:${SHOP_KEY}`).toString("base64");
    assert.equal(stage.double.last().headers["authorization"], `Basic ${basic}`);
    await stage.call("/api/header/a");
    assert.equal(stage.double.last().headers["x-api-key"], `Key ${SHOP_KEY}`);
    await stage.call("/api/query/a?x=1");
    assert.equal(stage.double.last().url, `/v1/a?x=1&api_key=${SHOP_KEY}`);
    await stage.call("/api/none/a");
    assert.equal(stage.double.last().headers["authorization"], undefined);
  });

  test("the token in Authorization: Bearer, as Basic password, or where the service's own credential goes", async () => {
    const key = stage.home.key("bot");
    const places = [
      ["bearer", "/a", ["Authorization", `bearer ${key}`]],
      ["bearer", "/a", ["Authorization", `Basic ${Buffer.from(`x:${key}`).toString("base64")}`]],
      ["basic", "/a", ["Authorization", `Basic ${Buffer.from(`:${key}`).toString("base64")}`]],
      ["header", "/a", ["X-Api-Key", key]],
      ["header", "/a", ["X-Api-Key", `Key ${key}`]],
      ["query", `/a?api_key=${key}`, undefined],
    ] as const;
    for (const [service, path, header] of places) {
      const answer = await stage.call(`/api/${service}${path}`, {
        as: null,
        headers: header === undefined ? [] : [header],
      });
      assert.equal(answer.status, 200, `${service} ${header?.[0]}: ${answer.text}`);
      assert.ok(!everythingOf(stage.double.last()).includes(key));
    }
  });

  test("/api/SERVICE, /api/SERVICE/ and /api/SERVICE?x", async () => {
    for (const [path, sent] of [
      ["/api/root", "/"],
      ["/api/root/", "/"],
      ["/api/root?x=1", "/?x=1"],
    ] as const) {
      assert.equal((await stage.call(path)).status, 200);
      assert.equal(stage.double.last().url, sent);
    }
  });

  test("the default list of request headers passes; others are dropped, as are method overrides", async () => {
    const passing = {
      accept: "text/plain",
      "accept-language": "de",
      "if-none-match": '"x"',
      "if-modified-since": "Sat, 21 Nov 2026 00:00:00 GMT",
      "idempotency-key": "k",
      prefer: "return=minimal",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      tracestate: "a=b",
      "x-request-id": "r",
      "x-passes": "yes",
    };
    const stopped = {
      cookie: "a=b",
      "x-other": "1",
      "x-http-method-override": "DELETE",
      "x-http-method": "DELETE",
      "x-method-override": "DELETE",
      "x-forwarded-for": "1.2.3.4",
      forwarded: "for=1.2.3.4",
      range: "bytes=0-1",
      "proxy-authorization": "x",
      te: "trailers",
      origin2: "x",
    };
    await stage.call("/api/bearer/a", { headers: [...Object.entries(passing), ...Object.entries(stopped)] });
    const { headers } = stage.double.last();
    for (const [name, value] of Object.entries(passing)) assert.equal(headers[name], value, name);
    for (const name of Object.keys(stopped)) assert.equal(headers[name], undefined, name);
    assert.equal(headers["x-set"], "by-the-file");
    assert.match(headers["user-agent"] ?? "", /^doorward/);
    assert.equal(headers["host"], new URL(stage.double.url).host);
  });

  test("dropped headers are named by doorward_explain", async () => {
    const answer = await stage.call("/api/bearer/a", { headers: [["X-Other", "1"]] });
    const { content } = await stage.tool("bot", "doorward_explain", {
      request_id: answer.headers.get("doorward-request-id"),
    });
    assert.ok(JSON.stringify(content).includes("x-other"), JSON.stringify(content));
  });

  test("`range` only where an operation says `ranges: true`", async () => {
    await stage.call("/api/ranged/a", { headers: [["Range", "bytes=0-1"]] });
    assert.equal(stage.double.last().headers["range"], "bytes=0-1");
    const viaTool = await stage.tool("bot", "doorward_request", {
      service: "ranged",
      method: "GET",
      path: "/a",
      headers: { Range: "bytes=0-1" },
    });
    assert.equal(viaTool.isError, false);
    const elsewhere = await stage.tool("bot", "doorward_request", {
      service: "none",
      method: "GET",
      path: "/a",
      headers: { Range: "bytes=0-1" },
    });
    assert.equal(elsewhere.error.code, "header_refused");
  });

  test("no redirect is followed; Location is rewritten to /api/… or dropped", async () => {
    const before = stage.double.received.length;
    const inside = await stage.call(`/api/bearer/redirect?to=${encodeURIComponent("/v1/next")}`);
    assert.equal(inside.status, 302);
    assert.match(inside.headers.get("location") ?? "", /\/api\/bearer\/next$/);
    const outside = await stage.call(`/api/bearer/redirect?to=${encodeURIComponent("https://other.example/x")}`);
    assert.equal(outside.status, 302);
    assert.equal(outside.headers.has("location"), false);
    assert.equal(stage.double.received.length, before + 2);
  });

  test("a safe list of answer headers", async () => {
    const { headers } = await stage.call("/api/bearer/headers");
    for (const name of [
      "content-type",
      "cache-control",
      "etag",
      "link",
      "x-ratelimit-remaining",
      "x-request-id",
      "retry-after",
      "last-modified",
    ]) {
      assert.ok(headers.has(name), name);
    }
    for (const name of ["set-cookie", "server", "x-powered-by", "access-control-allow-origin"])
      assert.equal(headers.has(name), false, name);
    assert.match(headers.get("link") ?? "", /\/api\/bearer\/items\?page=2/);
    assert.ok(Object.keys(ANSWER_HEADERS).length > 0);
  });

  test("the upstream's status and body; Doorward-Redacted: N before the head, a trailer of that name after", async () => {
    assert.equal((await stage.call("/api/bearer/status/418")).status, 418);
    const echoed = await stage.call("/api/bearer/a");
    assert.equal(echoed.headers.get("doorward-redacted"), "1");
    assert.ok(!echoed.text.includes(SHOP_KEY));
    const late = await stage.call("/api/bearer/late-key");
    assert.equal(late.headers.has("doorward-redacted"), false);
    assert.match(late.headers.get("trailer") ?? "", /^doorward-redacted$/i);
    assert.match(late.wire.toString("latin1"), /doorward-redacted: 1\r\n\r\n$/i);
    assert.ok(!late.wire.includes(SHOP_KEY));
  });

  test("a limit that is exceeded before the head was sent is a refusal; after it, the connection is cut and the event says why", async () => {
    const huge = await stage.call("/api/small/big?bytes=60000");
    assert.equal(huge.status, 200);
    const cut = await stage.call("/api/small/big?bytes=300000");
    if (cut.status === 502) isProblem(cut, 502, "upstream_too_large");
    else assert.ok(!cut.wire.subarray(-5).equals(Buffer.from("0\r\n\r\n")));
    const id = cut.headers.get("doorward-request-id") ?? "";
    assert.equal(stage.eventsOf(id).at(-1)?.code, "upstream_too_large");
  });

  test("an encoded slash passes where the pattern says `{project:encoded}`, as it came", async () => {
    assert.equal((await stage.call("/api/slash/p/group%2Fproject")).status, 200);
    assert.equal(stage.double.last().url, "/v1/p/group%2Fproject");
  });

  test("doorward_request: query, headers, body → {status, headers, body, body_encoding, truncated, redacted, request_id}", async () => {
    const { content, http } = await stage.tool("bot", "doorward_request", {
      service: "bearer",
      method: "POST",
      path: "/a?x=1",
      query: { y: 2, z: [true, "ä b"] },
      headers: { Accept: "text/plain" },
      body: { k: ["v"] },
    });
    // biome-ignore lint/suspicious/noExplicitAny: a document of the wire.
    const { status, headers, body, body_encoding, truncated, redacted, request_id } = content as any;
    assert.deepEqual([status, body_encoding, truncated, redacted], [200, "utf8", false, 1]);
    assert.equal(request_id, http?.headers.get("doorward-request-id"));
    assert.equal(headers["content-type"], "application/json");
    assert.equal(typeof body, "string");
    const { url, headers: sentHeaders, body: sent } = JSON.parse(body);
    assert.equal(url, "/v1/a?x=1&y=2&z=true&z=%C3%A4%20b");
    assert.equal(sentHeaders["content-type"], "application/json");
    assert.deepEqual(JSON.parse(sent), { k: ["v"] });
    const { result } = JSON.parse(http?.body.toString("utf8") ?? "");
    assert.equal(result.content[0].text, body);
  });

  test("doorward_request: a key in `path` and `query` is refused; `path` begins with /; body as text and as {base64}", async () => {
    const twice = await stage.tool("bot", "doorward_request", {
      service: "none",
      method: "GET",
      path: "/a?x=1",
      query: { x: 2 },
    });
    assert.equal(twice.error.code, "invalid_request");
    const relative = await stage.tool("bot", "doorward_request", { service: "none", method: "GET", path: "a" });
    assert.match(String(relative.error.code), /not_canonical|invalid_request/);
    await stage.tool("bot", "doorward_request", {
      service: "none",
      method: "POST",
      path: "/a",
      headers: { "Content-Type": "text/csv" },
      body: "a,b",
    });
    assert.equal(stage.double.last().body.toString(), "a,b");
    await stage.tool("bot", "doorward_request", {
      service: "none",
      method: "POST",
      path: "/a",
      headers: { "content-type": "application/octet-stream" },
      body: { base64: "AP8=" },
    });
    assert.deepEqual([...stage.double.last().body], [0, 255]);
    await stage.tool("bot", "doorward_request", { service: "none", method: "POST", path: "/a", body: "plain" });
    assert.equal(stage.double.last().body.toString(), '"plain"');
  });

  test("doorward_request: base64 where it is not UTF-8; over the limit it is cut and `truncated` is true", async () => {
    const bytes = await stage.tool("bot", "doorward_request", { service: "none", method: "GET", path: "/bytes" });
    assert.deepEqual([bytes.content["body_encoding"], bytes.content["body"]], ["base64", "AP/+AQ=="]);
    const cut = await stage.tool("bot", "doorward_request", {
      service: "small",
      method: "GET",
      path: "/big?bytes=300000",
    });
    assert.equal(cut.content["truncated"], true);
    assert.equal((cut.content["body"] as string).length, 100 * 1024);
  });
});
