/**
 * The law of the front door: a request is refused, and then nothing leaves; or what leaves is what was decided on,
 * byte for byte, and stays inside what was allowed however carelessly the upstream reads it.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { makeHome, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type Double, everythingOf, type Received, startDouble } from "../harness/double.testing.ts";
import { methodsOf, readingsOf } from "./lenient-reader.testing.ts";
import { exchangeRaw, type RawAnswer, requestBytes } from "./raw-http.testing.ts";
import { callTool, type EvidenceLine, readEvidence, startStage } from "./stage.testing.ts";

const RUNS = Number(process.env["LAW_RUNS"] ?? 400);
const SECRET = "rk_live_Zp8vQ2mX7sL4tB9n";
const BASE = "/base/v1";

const config = (url: string) => `version: 1
services:
  api:
    url: ${url}${BASE}
    private: true
    credential: { kind: bearer, secret: "local:api" }
    headers: { allow: [X-Custom] }
    operations:
      open:read: { effect: read, allow: ["GET /open/{rest...}"] }
      open:item: { effect: write, allow: ["GET /items/{id}", "POST /items/{id}"] }
      open:project: { effect: read, allow: ["GET /enc/{project:encoded}/log"] }
      closed: { effect: destructive, allow: ["GET /secret/{rest...}", "DELETE /items/{id}", "POST /open/{rest...}"] }
roles: { reader: { allow: ["api:open:*"] } }
agents: { bot: { roles: [reader] } }
`;

/** Whether a careless upstream's reading of a request is still one that the role allows. */
function allowed(method: string, path: string): boolean {
  const inside = path.startsWith(`${BASE}/`) ? path.slice(BASE.length) : undefined;
  if (inside === undefined) return false;
  if (/^\/open(\/|$)/.test(inside)) return method === "GET";
  if (/^\/items\/[^/]+$/.test(inside)) return method === "GET" || method === "POST";
  return /^\/enc\/.+\/log$/s.test(inside) && method === "GET";
}

const PASSING = new Set([
  "accept",
  "accept-language",
  "content-type",
  "idempotency-key",
  "prefer",
  "traceparent",
  "tracestate",
  "x-request-id",
  "x-custom",
]);
const OWN = new Set(["host", "user-agent", "accept-encoding", "connection", "content-length", "authorization"]);

let home: TestHome;
let daemon: TestDaemon;
let upstream: Double;
let key: string;

before(async () => {
  upstream = await startDouble((_, response) => response.end("ok"));
  home = await makeHome({ config: config(upstream.url), secrets: { api: SECRET }, agents: ["bot"] });
  daemon = await startStage(home);
  key = home.key("bot");
});
after(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
  home?.[Symbol.dispose]();
});

/** Mostly what honest clients send, with something hostile here and there: a request that is all hostile only tries the first check. */
function mostly<T>(weight: number, honest: fc.Arbitrary<T>, hostile: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: honest, weight }, { arbitrary: hostile, weight: 1 });
}

const piece = mostly(
  6,
  fc.constantFrom(
    "a",
    "b.txt",
    "1",
    "secret",
    "open",
    "%C3%A9",
    "~x",
    "a+b",
    "v:2",
    "x@y",
    "%20b",
    "a=b",
    "(c)",
    "*",
    "%41",
    "a,b",
    "..c",
    "q!",
    "{d}",
    "%2Ae",
  ),
  fc.constantFrom(
    "..",
    ".",
    "...",
    "%2e",
    "%2E%2e",
    ".%2e",
    "%2f",
    "%2F",
    "%5c",
    "\\",
    "%252e",
    "%252f",
    "%25",
    "%",
    "%zz",
    "%c0%ae",
    "%c0%af",
    "%u002e",
    "%u2215",
    "%00",
    "%0a",
    "%0d%0a",
    "%09",
    " ",
    "%20",
    ";",
    ";x=1",
    "%3b",
    "..;",
    "..%00",
    "%EF%BC%8E",
    "%EF%BC%8F",
    "%E2%88%95",
    "%E3%80%82",
    "%E2%80%8B",
    "%EF%BC%85",
    "e%CC%81",
    "%ff",
    "%3f",
    "%23",
    "#",
    "?",
    "//",
    "/",
    "group%2Fproject",
    "%2e%2e%2f",
    "..%5c",
    "%2F..%2Fsecret",
    "\u00e9",
    "http:",
    "//evil.test",
    "a%2F..%2F..%2Fb",
    "x;/..",
  ),
);
const segment = fc.array(piece, { minLength: 1, maxLength: 2 }).map((parts) => parts.join(""));
const inEncoded = fc.constantFrom(
  "a%2Fb",
  "group%2Fsub%2Fproject",
  "a%2F..%2Fb",
  "%2F",
  "a%2F%2Fb",
  "a%252Fb",
  "a%2Fb;x",
  "%2e%2e%2fx",
  "a%5Cb",
  "x.",
  "%EF%BD%81",
  "a%2F.%2Fb",
  "a%2F%2e%2e",
  "..%3b%2Fa",
  "a%2f%20%2fb",
);
const path = fc.oneof(
  fc
    .tuple(
      mostly(
        4,
        fc.constantFrom("/open/", "/items/", "/open/a/"),
        fc.constantFrom("/secret/", "/open", "", "/", "//open/", "/OPEN/", "/./open/", "/items", "/enc/"),
      ),
      fc.array(segment, { minLength: 1, maxLength: 3 }),
      mostly(6, fc.constant(""), fc.constantFrom("/", "/log", "/.", "/..")),
    )
    .map(([start, segments, end]) => start + segments.join("/") + end),
  fc
    .tuple(inEncoded, mostly(4, fc.constant("/log"), fc.constantFrom("", "/", "/log/", "%2flog")))
    .map(([inner, end]) => `/enc/${inner}${end}`),
);
const queryKey = mostly(
  5,
  fc.constantFrom("q", "type", "%71", "a", "page"),
  fc.constantFrom(
    "_method",
    "_Method",
    "%5Fmethod",
    "X-HTTP-Method-Override",
    "_method%00",
    "_method[]",
    "type[]",
    "a;_method",
    "q%26_method",
    "%EF%BC%BFmethod",
    "_%6Dethod",
  ),
);
const queryValue = mostly(
  4,
  fc.constantFrom("1", "DELETE", "a%26b", "a+b", "%C3%A9"),
  fc.constantFrom("%zz", "%00", "x;_method=DELETE", "&&", "=", "%ff", "a#b", "?", "1&_method=DELETE"),
);
const pair = fc.tuple(queryKey, queryValue, mostly(8, fc.constant("="), fc.constant("")));
const query = fc
  .array(pair, { maxLength: 2 })
  .map((pairs) => pairs.map(([k, v, e]) => (e === "" ? k : k + e + v)).join("&"));
const headerName = fc.constantFrom(
  "Accept",
  "X-Custom",
  "x_custom",
  "X-HTTP-Method-Override",
  "X_HTTP_Method_Override",
  "X-Method-Override",
  "X-Original-URL",
  "X-Rewrite-URL",
  "Forwarded",
  "X-Forwarded-For",
  "X-Forwarded-Host",
  "Cookie",
  "Via",
  "Proxy-Authorization",
  "X-Api-Key",
  "Range",
  "TE",
  "Connection",
  "Keep-Alive",
  "Trailer",
  "Doorward-Request-Id",
  "Doorward-Task",
  "X-Doorward-Agent",
  "User-Agent",
  "Accept-Language",
  "If-Match",
  "Idempotency-Key",
  "X-Request-Id",
  "Origin-Trial",
  "Accept-Encoding",
);
const headerValue = mostly(
  4,
  fc.constantFrom("1", "DELETE", "/secret/x", "a, b", "X-Custom", "127.0.0.1"),
  fc.constantFrom("close", "h2c", "bytes=0-1", "trailers", "\u00fcn\u00ef", "\t", "x\x0by"),
);
const hostileHeader = fc.constantFrom<readonly [string, string]>(
  ["Content-Encoding", "gzip"],
  ["Expect", "100-continue"],
  ["Upgrade", "h2c"],
  ["Authorization ", "x"],
  ["Content-Length", "0"],
  ["Host", "evil.test"],
);
const header = mostly(12, fc.tuple(headerName, headerValue) as fc.Arbitrary<readonly [string, string]>, hostileHeader);
const headers = mostly(1, fc.constant<(readonly [string, string])[]>([]), fc.array(header, { maxLength: 3 }));
const body = mostly(
  2,
  fc.constantFrom<readonly [string | undefined, string] | null>(
    null,
    ["application/json", '{"a":1}'],
    ["application/x-www-form-urlencoded", "a=1&b=2"],
    ["text/plain", "hello"],
  ),
  fc.constantFrom<readonly [string | undefined, string] | null>(
    ["application/json", '{"_method":"DELETE"}'],
    ["application/json", '{"_meth\\u006fd":"DELETE"}'],
    ["application/json", '{"a":1,"a":2}'],
    ["application/json; charset=utf-16", "{}"],
    ["application/x-www-form-urlencoded", "_method=DELETE"],
    ["application/x-www-form-urlencoded", "%5Fmethod=DELETE"],
    ["application/x-www-form-urlencoded", "a=1;_method=DELETE"],
    ["text/plain", "_method=DELETE"],
    [undefined, "_method=DELETE"],
    [
      "multipart/form-data; boundary=x",
      '--x\r\nContent-Disposition: form-data; name="_method"\r\n\r\nDELETE\r\n--x--\r\n',
    ],
    ["multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'],
    [
      "multipart/form-data; boundary=x; boundary=y",
      '--y\r\nContent-Disposition: form-data; name="_method"\r\n\r\nDELETE\r\n--y--\r\n',
    ],
    ["application/json, text/plain", "{}"],
    ["APPLICATION/JSON", '\ufeff{"a":1}'],
  ),
);
const method = mostly(
  5,
  fc.constantFrom("GET", "GET", "POST"),
  fc.constantFrom("DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "PROPFIND", "QUERY"),
);
const request = fc.record({ method, path, query, headers, body });
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

const tally = { sent: 0, refused: 0 };

/** Looks at what arrived at the upstream against the evidence of that call. */
function judge(received: readonly Received[], requestId: string, bytes: Buffer | undefined): void {
  const events = readEvidence(home.home).filter((event) => event.request_id === requestId);
  const [decided] = events.filter(({ type }) => type === "call.decided");
  if (received.length === 0) {
    tally.refused++;
    assert.notEqual(
      decided?.decision === "permit" && events.some(({ type, code }) => type === "call.completed" && code === null),
      true,
    );
    return;
  }
  tally.sent++;
  assert.equal(received.length, 1, "one call, one request");
  const [one] = received as [Received];
  assert.ok(decided !== undefined && decided.decision === "permit", "nothing is sent without a recorded permit");
  compare(one, decided, bytes);
  confine(one);
}

function compare(one: Received, decided: EvidenceLine, bytes: Buffer | undefined): void {
  const [sentPath = "", sentQuery] = one.url.split(/\?(.*)/s, 2);
  assert.equal(one.method, decided["method"]);
  assert.equal(sentPath, BASE + String(decided["path"]));
  const pairs = sentQuery === undefined ? [] : sentQuery.split("&");
  const keys = pairs.map((pair) => decodeURIComponent(pair.split("=", 1)[0]!));
  assert.deepEqual(
    keys,
    ((decided["query"] ?? []) as [string, string][]).map(([name]) => name),
  );
  assert.equal(one.body.length, decided["body_bytes"] ?? 0);
  if (bytes !== undefined) assert.deepEqual(one.body, bytes);
}

function confine(one: Received): void {
  const [sentPath = "", sentQuery = ""] = one.url.split(/\?(.*)/s, 2);
  const headers = one.headers as Record<string, string | string[] | undefined>;
  const methods = methodsOf({ method: one.method, headers, query: sentQuery, body: one.body.toString("utf8") });
  for (const reading of readingsOf(sentPath)) {
    for (const meant of methods)
      assert.ok(allowed(meant, reading), `${one.method} ${one.url} can be read as ${meant} ${reading}`);
  }
  for (const name of Object.keys(one.headers)) {
    assert.ok(OWN.has(name) || PASSING.has(name) || name.startsWith("if-"), `the header ${name} reached the upstream`);
  }
  assert.equal(one.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "authorization").length, 1);
  assert.equal(one.headers.authorization, `Bearer ${SECRET}`);
  assert.equal(one.headers.host, new URL(upstream.url).host);
  assert.ok(!everythingOf(one).includes(key), "the agent's own token reached the upstream");
}

function requestIdOf(answer: RawAnswer | undefined): string {
  return answer?.headers.get("doorward-request-id") ?? "none";
}

describe("what is decided on is what is sent", { timeout: 240_000 }, () => {
  test("on /api, for any bytes of a request", async () => {
    const send = async ({ method, path, query, headers, body }: Request) => {
      const before = upstream.received.length;
      const target = `/api/api${path}${query === "" ? "" : `?${query}`}`;
      const bytes = body === null ? undefined : Buffer.from(body[1]);
      const type = body?.[0] === undefined ? [] : [["Content-Type", body[0]] as const];
      const raw = requestBytes({
        method,
        target,
        headers: [["Authorization", `Bearer ${key}`], ...type, ...headers],
        body: bytes,
      });
      const answer = await exchangeRaw(daemon.url, raw);
      assert.ok(answer !== undefined, "each request gets an answer");
      judge(upstream.received.slice(before), requestIdOf(answer), bytes);
    };
    await fc.assert(fc.asyncProperty(request, send), { numRuns: RUNS });
  });

  test("through doorward_request, for any arguments", async () => {
    const send = async ({ method, path, query, headers, body }: Request) => {
      const before = upstream.received.length;
      const named = Object.fromEntries(headers);
      if (body?.[0] !== undefined) named["Content-Type"] = body[0];
      const args = {
        service: "api",
        method,
        path: query === "" ? path : `${path}?${query}`,
        ...(headers.length === 0 && body === null ? {} : { headers: named }),
        ...(body === null ? {} : { body: body[1] }),
      };
      const answer = await callTool(daemon.url, key, "doorward_request", args);
      judge(upstream.received.slice(before), requestIdOf(answer.http), undefined);
    };
    await fc.assert(fc.asyncProperty(request, send), { numRuns: RUNS });
  });

  test("and the law was tried on both kinds", () => {
    assert.ok(tally.sent > RUNS / 20 && tally.refused > RUNS / 4, JSON.stringify(tally));
  });

  test("the daemon said nothing of a fault, and no secret", () => {
    assert.doesNotMatch(daemon.said(), /internal error/);
    assert.ok(!daemon.said().includes(SECRET) && !daemon.said().includes(key));
  });
});
