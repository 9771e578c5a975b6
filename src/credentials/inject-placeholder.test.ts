import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { EnvCredentialConfig } from "../config/schema.ts";
import { canonicalise } from "../request/canonicalise.ts";
import type { RawRequest } from "../request/raw-request.ts";
import { findPlaceholder, injectPlaceholder } from "./inject-placeholder.ts";
import { watchPlaceholder } from "./placeholder.ts";
import { createScrubber } from "./scrubber.ts";

type Place = EnvCredentialConfig["place"];

const KEY = "ghp_9fQ2mZx7LrT4vB8nKc3WdJ6sHy1PaE5uRtGo";
const PH = "ghp_Xb5kUw8eNq1sYd4gHj7lOp2iVc9zAf3mTr6M";
const placeholder = watchPlaceholder(PH);
const b64 = (text: string) => Buffer.from(text).toString("base64");

/** What becomes of a request: as the broker does it, judged and then, if it may, filled. */
function send(raw: Partial<RawRequest>, place: Place | undefined, key = KEY) {
  const whole: RawRequest = { method: "POST", target: "/x", headers: [], body: undefined, ...raw };
  const canonical = canonicalise(whole, {
    service: "tool",
    door: "egress",
    program: true,
    allowHeaders: new Set(),
    setHeaders: new Map(),
    ranges: false,
    requestBytes: 1_000_000,
    credential: {},
  });
  if (!canonical.ok) throw canonical.problem;
  const finding = findPlaceholder({ headers: whole.headers, request: canonical.request }, placeholder, place);
  if (finding.kind === "refused" || place === undefined) return finding;
  const { headers, search, body } = injectPlaceholder(canonical.request, new Secret(key), { placeholder, place });
  return { kind: finding.kind, headers, search, body: body === undefined ? undefined : Buffer.from(body).toString() };
}

const header = (value: string, name = "Authorization"): Partial<RawRequest> => ({ headers: [[name, value]] });
const json = (body: string): Partial<RawRequest> => ({
  headers: [["Content-Type", "application/json"]],
  body: Buffer.from(body),
});
const form = (body: string): Partial<RawRequest> => ({
  headers: [["Content-Type", "application/x-www-form-urlencoded"]],
  body: Buffer.from(body),
});

const IN_HEADERS: Record<string, [sent: Partial<RawRequest>, name: string, value: string]> = {
  Bearer: [header(`Bearer ${PH}`), "authorization", `Bearer ${KEY}`],
  "token, as GitHub's clients write it": [header(`token ${PH}`), "authorization", `token ${KEY}`],
  "no scheme": [header(PH), "authorization", KEY],
  "a scheme with a name": [header(`Token token="${PH}"`), "authorization", `Token token="${KEY}"`],
  "a password of Basic": [header(`Basic ${b64(`me:${PH}`)}`), "authorization", `Basic ${b64(`me:${KEY}`)}`],
  "a user of Basic": [header(`Basic ${b64(`${PH}:`)}`), "authorization", `Basic ${b64(`${KEY}:`)}`],
  "a user of Basic with a word behind": [
    header(`basic ${b64(`${PH}:x-oauth-basic`)}`),
    "authorization",
    `Basic ${b64(`${KEY}:x-oauth-basic`)}`,
  ],
  "a header of the vendor's": [header(PH, "X-Api-Key"), "x-api-key", KEY],
  "GitLab's header": [header(PH, "PRIVATE-TOKEN"), "private-token", KEY],
};

for (const [name, [sent, where, value]] of Object.entries(IN_HEADERS)) {
  test(`in a header: ${name}`, () => {
    const out = send(sent, "header");
    assert.equal(out.kind, "placed");
    assert.ok("headers" in out);
    assert.equal(out.headers.find(([key]) => key === where)?.[1], value);
  });
}

test("in the query: the value of a parameter, the rest as it was", () => {
  const out = send({ target: `/x?a=1%2B2&key=${PH}&b` }, "query");
  assert.ok("search" in out);
  assert.equal(out.search, `?a=1%2B2&key=${KEY}&b`);
  const odd = send({ target: `/x?key=${PH}` }, "query", "a b&c=d/ü");
  assert.ok("search" in odd);
  assert.equal(odd.search, "?key=a%20b%26c%3Dd%2F%C3%BC");
});

test("in the body: strings of JSON, the rest byte for byte", () => {
  const body = `{ "ü" : "ü\\n", "a":[ "${PH}" , 1.50, {"k":"${PH.replace("b", "\\u0062")}"} ] }`;
  const out = send(json(body), "body", 'q"ü');
  assert.ok("body" in out);
  assert.equal(out.body, `{ "ü" : "ü\\n", "a":[ "q\\"ü" , 1.50, {"k":"q\\"ü"} ] }`);
});

test("in the body: fields of a form, a line break at its end too", () => {
  const out = send(form(`grant=x&secret=${PH}\n`), "body", "a b");
  assert.ok("body" in out);
  assert.equal(out.body, "grant=x&secret=a%20b\n");
});

const ELSEWHERE: Record<string, [sent: Partial<RawRequest>, place: Place | undefined]> = {
  "the path": [{ target: `/users/${PH}` }, "header"],
  "the path, percent-encoded": [{ target: `/users/${PH.replace("g", "%67")}` }, "header"],
  "the query, where the header is its place": [{ target: `/?k=${PH}` }, "header"],
  "a key of the query": [{ target: `/?${PH}=1` }, "query"],
  "a part of a parameter": [{ target: `/?k=x${PH}` }, "query"],
  "a body, where the header is its place": [json(`{"a":"${PH}"}`), "header"],
  "a key of JSON": [
    json(`{"${PH}"                                                                           :1}`),
    "body",
  ],
  "a part of a string": [json(`{"a":"x ${PH}"}`), "body"],
  "base64 in JSON": [json(`{"a":"${b64(PH)}"}`), "body"],
  "a body of text": [{ headers: [["content-type", "text/plain"]], body: Buffer.from(PH) }, "body"],
  "a body without a type": [{ body: Buffer.from(`a=${PH}`) }, "body"],
  "a part of a header": [header(`Bearer x${PH}`), "header"],
  "a header with something behind": [header(`Bearer ${PH}x`), "header"],
  "a header twice": [header(`Bearer ${PH}, Bearer ${PH}`), "header"],
  "base64 in a header that is not Basic": [header(b64(PH), "X-Api-Key"), "header"],
  "base64 behind Bearer": [header(`Bearer ${b64(`x:${PH}`)}`), "header"],
  "a part of a Basic password": [header(`Basic ${b64(`me:x${PH}`)}`), "header"],
  "hex in a header": [header(Buffer.from(PH).toString("hex"), "X-Api-Key"), "header"],
  "a header that is logged": [header(PH, "X-Request-Id"), "header"],
  "a header that is an idempotency key": [header(PH, "Idempotency-Key"), "header"],
  "a header that carries no credential": [header(PH, "X-Note"), "header"],
  "a header that is dropped": [header(PH, "Cookie"), "header"],
  "a header for the proxy": [header(`Bearer ${PH}`, "Proxy-Authorization"), "header"],
  "the user agent": [header(PH, "User-Agent"), "header"],
  "the name of a header": [header("1", `x-${PH}`), "header"],
  "a host that gets no key": [header(`Bearer ${PH}`), undefined],
  "its place and elsewhere": [{ ...header(`Bearer ${PH}`), target: `/?q=${PH}` }, "header"],
};

for (const [name, [sent, place]] of Object.entries(ELSEWHERE)) {
  test(`refused: ${name}`, () => {
    const out = send(sent, place);
    assert.equal(out.kind, "refused");
    assert.ok("detail" in out && !out.detail.includes(PH), "the detail names the part, not its value");
  });
}

test("refused: an Authorization of the program's own, beside the placeholder too, where the key goes into a header", () => {
  assert.equal(send(header("Bearer other"), "header").kind, "refused");
  const beside = {
    headers: [
      ["authorization", "Bearer other"],
      ["x-api-key", PH],
    ] as const,
  };
  assert.equal(send(beside, "header").kind, "refused");
  assert.equal(send(header("Bearer other"), "body").kind, "absent");
  assert.equal(send(header("Bearer other"), undefined).kind, "absent");
});

test("a request without the placeholder is left as it is", () => {
  const out = send({ ...json('{"a": "b"}'), target: "/?a=b" }, "body");
  assert.equal(out.kind, "absent");
  assert.ok("body" in out);
  assert.equal(out.body, '{"a": "b"}');
});

test("a key that no header can carry is unavailable, not sent in part", () => {
  for (const key of ["two\nlines", " padded", "ünïcode", "x\0y"]) {
    assert.throws(
      () => send(header(`Bearer ${PH}`), "header", key),
      (error) => error instanceof Problem && error.code === "secret_unavailable",
    );
  }
});

/** Where a placeholder may be put by a program that wants its key elsewhere, and how it may be written there. */
const SPOTS: readonly ((text: string) => Partial<RawRequest>)[] = [
  (text) => ({ target: `/${encodeURIComponent(text)}` }),
  (text) => ({ target: `/x?${encodeURIComponent(text)}=1` }),
  (text) => ({ target: `/x?a=${encodeURIComponent(text)}` }),
  (text) => header(text, "X-Note"),
  (text) => header(text, "X-Token"),
  (text) => header(`Bearer ${text}`),
  (text) => header(`Basic ${b64(text)}`),
  (text) => json(JSON.stringify({ a: text })),
  (text) => json(JSON.stringify({ [text]: 1 })),
  (text) => form(`a=${encodeURIComponent(text)}`),
  (text) => ({ body: Buffer.from(text) }),
];
const WRITTEN: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => `x${text}`,
  (text) => `${text}.`,
  (text) => b64(text),
  (text) => Buffer.from(text).toString("hex"),
  (text) => `u:${text}`,
  (text) => `${text}:`,
  (text) => b64(`a:${text}`),
];

/** What has no canonical form does not leave either. */
function attempt<Value>(run: () => Value): Value | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof Problem && error.code === "not_canonical") return undefined;
    throw error;
  }
}

test("law: the key leaves in the declared place alone, whatever a program writes where", () => {
  const traces = createScrubber([new Secret(KEY)]);
  fc.assert(
    fc.property(
      fc.constantFrom(...SPOTS),
      fc.constantFrom(...WRITTEN),
      fc.constantFrom<Place>("header", "query", "body"),
      (spot, write, place) => {
        const out = attempt(() => send(spot(write(PH)), place));
        if (out === undefined || !("headers" in out)) return;
        const inHeaders = out.headers.some(([, value]) => traces.text(value).redacted > 0);
        const inQuery = traces.text(out.search).redacted > 0;
        const inBody = traces.text(out.body ?? "").redacted > 0;
        assert.deepEqual(
          [inHeaders && place !== "header", inQuery && place !== "query", inBody && place !== "body"],
          [false, false, false],
        );
        assert.equal(out.kind === "placed", inHeaders || inQuery || inBody);
        const left = JSON.stringify([out.headers, out.search, out.body]);
        assert.equal(placeholder.traces.text(left).redacted, 0, "no placeholder leaves");
      },
    ),
    { numRuns: 500 },
  );
});
