import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonValue } from "../base/json.ts";
import type { Principal } from "../identity/principal.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import { toCelValue } from "./cel-values.ts";
import { NowView, OperationView, PrincipalView, RequestView } from "./cel-views.ts";
import { celWork, createExpressionCompiler, MAX_CEL_WORK } from "./compile-expression.ts";
import { ambiguousRead, createRequestReader } from "./request-reader.ts";
import { utcClock } from "./zone-clock.ts";

const principal: Principal = {
  agent: "bot",
  client: "key_1",
  user: undefined,
  tenant: "acme",
  environment: "production",
  purpose: undefined,
  task: undefined,
  ip: "127.0.0.1",
  token: { kind: "api_key", id: "key_1", expiresAt: new Date("2030-01-01") },
};

function requestOf(parts: {
  body?: JsonValue;
  query?: readonly (readonly [string, string | undefined])[];
}): CanonicalRequest {
  return {
    service: "dns",
    method: "POST",
    path: "/domains/a.example",
    segments: [],
    query: parts.query ?? [["type", "A"]],
    search: "?type=A",
    headers: [["content-type", "application/json"]],
    body: new Uint8Array(1_500),
    content: parts.body === undefined ? { kind: "none" } : { kind: "json", value: parts.body, lossy: false },
    dropped: [],
    origin: undefined,
    mcp: undefined,
  };
}

function evaluate(text: string, body?: JsonValue, now = "2026-07-15T17:30:00Z"): unknown {
  const compiled = createExpressionCompiler()(text);
  assert.ok(compiled.ok, `${text}: ${compiled.ok ? "" : compiled.problem}`);
  const reader = createRequestReader(requestOf(body === undefined ? {} : { body }));
  return compiled.expression.evaluate({
    principal: new PrincipalView(principal, { purpose: undefined, roles: ["dns-reader"] }),
    operation: new OperationView({ service: "dns", name: "records:delete", effect: "destructive" }),
    request: new RequestView(reader, new Map([["domain", "a.example"]])),
    now: new NowView(new Date(now), utcClock),
  });
}

function problem(text: string): string {
  const compiled = createExpressionCompiler()(text);
  return compiled.ok ? "none" : `${compiled.problem} — ${compiled.remedy}`;
}

test("conditions over each variable hold when they should", () => {
  const holds = [
    'operation.effect == "destructive"',
    'operation.effect != "read" && (now.hour < 8 || now.hour >= 17)',
    'operation.scope == "dns:records:delete" && operation.service == "dns" && operation.name.startsWith("records:")',
    'principal.agent == "bot" && principal.tenant in ["acme", "other"]',
    '"dns-reader" in principal.roles',
    "!has(principal.user) && has(principal.tenant)",
    'request.method == "POST" && request.path.startsWith("/domains/")',
    'request.params.domain.endsWith(".example") && request.params["domain"] == "a.example"',
    'request.query.type == "A" && has(request.query.type) && !has(request.query.other)',
    'request.queries.type == ["A"] && "A" in request.queries.type',
    'request.headers["content-type"] == "application/json"',
    "request.size > 1000 && request.size == 1500 && request.size < 1500.5",
    'now.date == "2026-07-15" && now.weekday == 3 && now.minute == 30 && now.month == 7',
    'now.at("Europe/Berlin").hour == 19 && now.at("Asia/Tokyo").day == 16',
    'now.timestamp > timestamp("2026-01-01T00:00:00Z") && now.timestamp.getHours() == 17',
    'request.path.matches("^/domains/[a-z.]+$")',
  ];
  for (const text of holds) assert.equal(evaluate(text), true, text);
});

test("numbers of a body compare exactly, whole or not, whichever way they were written", () => {
  const body = { whole: 100, half: 100.5, big: 9_007_199_254_740_991, list: [1, 2.5, 3], text: "100", sign: -0 };
  const holds = [
    "request.body.whole <= 100 && request.body.whole <= 100.5 && request.body.whole >= 99.5",
    "request.body.half > 100 && request.body.half <= 100.5 && request.body.half < 101",
    "request.body.whole == 100 && request.body.whole == 100.0 && request.body.whole != 101",
    "request.body.half == 100.5 && !(request.body.half == 100)",
    "request.body.big == 9007199254740991 && request.body.big < 9007199254740992 && request.body.big > 9007199254740990",
    "request.body.list == [1, 2, 3] || request.body.list[1] == 2.5",
    "request.body.whole in [99, 100]",
    "request.body.list.all(item, item <= 3) && request.body.list.exists(item, item > 2)",
    "request.body.sign == 0 && request.body.whole + 1 == 101 && request.body.whole * 2 > 199",
    'request.body.text == "100" && request.body.text != 100',
    "double(request.body.whole) / 3.0 > 33.0 && int(request.body.text) == 100",
  ];
  for (const text of holds) assert.equal(evaluate(text, body), true, text);
});

test("what is not there is an error, and `has` asks first", () => {
  const body = { present: { inner: 1 }, empty: null };
  const fails = [
    "request.body.absent == 1",
    "request.body.present.absent == 1",
    "request.body.present.inner.deeper == 1",
    'principal.user == "bob"',
    'request.query.absent == "x"',
    'request.params.absent == "x"',
    "request.body.constructor != 1",
    "request.body.__proto__ != 1",
    "request.body.toString != 1",
    "request.body.present.hasOwnProperty != 1",
    'request.body["constructor"] != 1',
    "request.body.present",
    "request.body.empty",
    "request.body.present.inner",
    'request.body.present.inner < "a"',
    "request.body.empty > 1",
  ];
  for (const text of fails) assert.throws(() => evaluate(text, body), `${text}`);
  assert.equal(evaluate("has(request.body.absent)", body), false);
  assert.equal(evaluate("has(request.body.constructor)", body), false);
  assert.throws(() => evaluate("request.body.amount > 1"));
  assert.throws(() => evaluate("has(request.body.amount)"));
});

test("a key of the body that poses as something else is a key", () => {
  const body = JSON.parse('{"constructor": {"name": "x"}, "entries": 1, "size": 7, "get": "y", "length": 3}');
  assert.equal(
    evaluate('request.body.constructor.name == "x" && request.body.size == 7 && request.body.get == "y"', body),
    true,
  );
  assert.equal(evaluate("size(request.body) == 5 && request.body.length == 3", body), true);
});

test("the shape of a body leaves nothing behind in the engine", () => {
  // The engine keeps a type for each first entry it sees; a map of ours shows none, and is a map all the same.
  const { value } = toCelValue({ a: { b: [1] } });
  assert.ok(value instanceof Map);
  assert.deepEqual([...value.entries()], []);
  assert.deepEqual([...value.keys()], ["a"]);
  const holds = 'request.body == {"a": {"b": [1]}} && request.body.a != {"b": [2]}';
  assert.equal(evaluate(holds, { a: { b: [1] } }), true);
});

test("what cannot be meant is a fault when the file loads, and names what was meant", () => {
  const cases: [string, RegExp][] = [
    ['operation.efect == "read"', /unknown field `operation\.efect`.*`operation\.effect`/],
    ['principal.agnt == "bot"', /`principal\.agnt`.*`principal\.agent`/],
    ['oper.effect == "read"', /unknown variable `oper`/],
    ['principl.agent == "x"', /unknown variable `principl`.*`principal`/],
    ["has(principal.usr)", /`principal\.usr`/],
    ["now.hours < 8", /`now\.hours`.*`now\.hour`/],
    ['now.hour < "8"', /no such overload/],
    ["request.query.limit > 5", /no such overload/],
    ['operation["effect"] == "read"', /cannot be indexed/],
    ["operation[request.body.x] == 1", /cannot be indexed/],
    ["request == request", /not a value by itself/],
    ["has(request)", /./],
    ["history.calls > 5", /`history` is not built yet/],
    ["now.hour", /gives int/],
    ['"yes"', /gives string/],
    ["now.hour <", /./],
    ["", /./],
    ['now.at("Mars/Base").hour < 8', /not a time zone/],
    ["now.at(request.body.zone).hour < 8", /literal zone/],
    ['now.timestamp.getHours("Europe/Berlin") < 8', /takes no zone/],
    ["request.path.matches(request.body.pattern)", /literal pattern/],
    ["request.path.matchesLinear(request.body.pattern)", /literal pattern/],
    ['request.path.matches("(a)\\\\1")', /linear time/],
    ['request.path.matches("(?=a)")', /linear time/],
    ["request.body.a.all(x, request.body.b.exists(y, y == x))", /inside a loop/],
    ["request.body.a.all(x, x.b.exists(y, y == 1))", /loop inside a loop/],
    ["(request.body.a + request.body.a).all(x, x == 1)", /loop over a sum/],
    ["[1].all(request, request == 1)", /cannot name a loop variable/],
    ["cel.bind(x, request.body.a, x == 1)", /unknown variable/],
    ['request.body.a.split(",") == ["x"]', /not available/],
    ['duration(request.body.d) < duration("1h")', /needs a literal/],
    ["google.protobuf.Timestamp == type(now.timestamp)", /unknown variable/],
    ["true ".repeat(2_000), /longer than/],
    [Array.from({ length: 400 }, () => "true").join(" && "), /./],
  ];
  for (const [text, expected] of cases) assert.match(problem(text), expected, text);
});

test("a fault is one clause without the source drawn under it", () => {
  assert.doesNotMatch(problem('now.hour < "8"'), /\n/);
});

test("what is read is known before there is a request", () => {
  const compile = createExpressionCompiler();
  const reads = (text: string) => {
    const compiled = compile(text);
    assert.ok(compiled.ok, text);
    return compiled.expression.review;
  };
  assert.equal(reads('operation.effect == "read" && now.hour < 8').readsRequest, false);
  assert.deepEqual(
    reads('request.query.type == "A" && request.query["a.b"] == "x"').reads.query,
    new Set(["type", "a.b"]),
  );
  assert.equal(reads("size(request.query) > 2").reads.query, "all");
  assert.equal(reads('request.query[request.method] == "x"').reads.query, "all");
  assert.deepEqual(reads("has(request.body.a.b)").reads.body, new Set(["a"]));
  assert.equal(reads('"a" in request.body').reads.body, "all");
});

test("a key that stands twice is ambiguous to a rule that reads it, and to no other", () => {
  const request = requestOf({
    query: [
      ["type", "A"],
      ["type", "NS"],
      ["page", "1"],
    ],
  });
  const ambiguous = (text: string) => {
    const compiled = createExpressionCompiler()(text);
    assert.ok(compiled.ok, text);
    return ambiguousRead(compiled.expression.review, request) !== undefined;
  };
  assert.equal(ambiguous('request.query.type == "NS"'), true);
  assert.equal(ambiguous('"type" in request.query'), true);
  assert.equal(ambiguous('request.query.page == "1"'), false);
  assert.equal(ambiguous('"NS" in request.queries.type'), false);
});

test("work grows with what must be looked at, and a hostile body is over the limit before it is looked at", () => {
  const compiled = createExpressionCompiler()(
    'request.body.items.all(item, item.name.matches("(a+)+$")) && request.body.x == 1',
  );
  assert.ok(compiled.ok);
  const { review } = compiled.expression;
  assert.ok(celWork(review, { values: 20, characters: 1_000 }) < MAX_CEL_WORK / 100);
  assert.ok(celWork(review, { values: 20_000, characters: 1_048_576 }) > MAX_CEL_WORK);
});

test("a pattern that makes a backtracking engine hang answers", () => {
  assert.equal(evaluate('request.body.text.matches("^(a+)+$")', { text: `${"a".repeat(50_000)}!` }), false);
});
