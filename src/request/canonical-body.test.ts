import assert from "node:assert/strict";
import { test } from "node:test";
import { accepted, refusal } from "./request.testing.ts";

const post = (type: string | undefined, body: string | Uint8Array | undefined) => ({
  method: "POST",
  target: "/",
  headers: type === undefined ? [] : [["content-type", type] as const],
  body,
});
const content = (type: string | undefined, body: string | Uint8Array | undefined) => accepted(post(type, body)).content;
const FORM_TYPE = "application/x-www-form-urlencoded";

test("JSON is read, and its bytes stay as they are", () => {
  for (const type of [
    "application/json",
    "Application/JSON; charset=UTF-8",
    "application/vnd.api+json",
    'application/json;charset="utf-8"',
    "text/json",
  ]) {
    const request = accepted(post(type, ' {"a": [1, "é"]}\n'));
    assert.deepEqual(request.content, { kind: "json", value: { a: [1, "é"] }, lossy: false });
    assert.equal(Buffer.from(request.body ?? []).toString(), ' {"a": [1, "é"]}\n');
    assert.deepEqual(request.headers, [["content-type", type]]);
  }
});

test("what another reader may see otherwise is flagged", () => {
  for (const body of ['{"amount":9007199254740993}', '{"amount":1,"Amount":100}', '[{"a":{"b":1,"B":2}}]']) {
    const read = content("application/json", body);
    assert.equal(read.kind === "json" && read.lossy, true, body);
  }
});

test("no body is none, whatever the type says", () => {
  assert.deepEqual(content("application/json", undefined), { kind: "none" });
  const empty = accepted(post("application/json", ""));
  assert.deepEqual([empty.content, empty.body], [{ kind: "none" }, undefined]);
});

test("a body of no type is sent as bytes, so that nobody guesses", () => {
  const request = accepted({
    ...post(undefined, '{"a":1}'),
    headers: [
      ["accept", "x"],
      ["prefer", "y"],
    ],
  });
  assert.deepEqual(request.headers, [
    ["accept", "x"],
    ["content-type", "application/octet-stream"],
    ["prefer", "y"],
  ]);
  assert.deepEqual(request.content, { kind: "opaque", type: "application/octet-stream" });
});

test("a form is read, and repeated keys are lists", () => {
  const read = content(
    FORM_TYPE,
    "amount=100&expand[]=a&expand[]=b&note=a+b%0Ac&empty&utf8=%E2%9C%93&constructor=1&é=1\n",
  );
  assert.deepEqual(
    { ...(read.kind === "form" && read.value) },
    { amount: "100", "expand[]": ["a", "b"], note: "a b\nc", empty: "", utf8: "✓", constructor: "1", é: "1" },
  );
});

test("other types are opaque", () => {
  assert.deepEqual(content("text/plain", "hello = world & co"), { kind: "opaque", type: "text/plain" });
  assert.deepEqual(content("application/octet-stream", Uint8Array.from([0xff, 0, 1])), {
    kind: "opaque",
    type: "application/octet-stream",
  });
  const parts =
    '--b\r\nContent-Disposition: form-data; name="file"; filename="_method.txt"\r\n\r\n<input name="_method">\r\n--b--';
  assert.deepEqual(content("multipart/form-data; boundary=b", parts), { kind: "opaque", type: "multipart/form-data" });
});

const REFUSED: Record<string, readonly [string | undefined, string | Uint8Array][]> = {
  "JSON with two readings": [
    ["application/json", '{"a":1,"a":2}'],
    ["application/problem+json", '{"__proto__":1}'],
    ["application/json", Uint8Array.from([0x22, 0xff, 0x22])],
  ],
  "charsets that hide what is written": [
    ["application/json; charset=utf-16", "{}"],
    ["application/json; charset=utf-7", "{}"],
    [`${FORM_TYPE}; charset=iso-8859-1`, "a=1"],
  ],
  "content types that can be split in two ways": [
    ["application/json, text/plain", "{}"],
    ["application/json; charset=utf-8; charset=utf-7", "{}"],
    ["json", "{}"],
    ["", "{}"],
    ["application/json charset", "{}"],
    ['application/json; a="\\""', "{}"],
    ["application/json;charset=utf-8 x", "{}"],
    ["/json", "{}"],
  ],
  "method overrides": [
    ["application/json", '{"_method":"DELETE"}'],
    ["application/json", '{"\\u005fMethod":"DELETE"}'],
    ["application/json", '{"x-http-method-override":"PUT"}'],
    [FORM_TYPE, "_method=DELETE"],
    [FORM_TYPE, "a=1&%5FmetHod=x"],
    [FORM_TYPE, "_method[]=x"],
    [FORM_TYPE, "%EF%BC%BFmethod=x"],
    ["text/plain", "_method=DELETE&a=1"],
    [undefined, "a=1&_method=DELETE"],
    ["text/plain", "a=1;_method=DELETE"],
    ["application/octet-stream", "X-HTTP-Method-Override=PUT"],
    ["multipart/form-data; boundary=b", '--b\r\nContent-Disposition: form-data; name="_method"\r\n\r\nDELETE\r\n--b--'],
    ["multipart/form-data; boundary=b", "--b\ncontent-disposition: form-data;\n name=_method\n\nDELETE\n--b--"],
    [
      "multipart/form-data; boundary=b",
      '--b\r\nContent-Disposition: form-data; name="_me\\thod"\r\n\r\nDELETE\r\n--b--',
    ],
    [
      "multipart/form-data; boundary=b",
      '--b\r\nContent-Disposition: form-data; name="%5Fmethod"\r\n\r\nDELETE\r\n--b--',
    ],
    [
      "multipart/form-data; boundary=b",
      "--b\r\nContent-Disposition: form-data; name*=utf-8''%5Fmethod\r\n\r\nDELETE\r\n--b--",
    ],
    [
      "multipart/form-data; boundary=b",
      '--b\r\nContent-Disposition: form-data; name*0="_met"; name*1="hod"\r\n\r\nDELETE\r\n--b--',
    ],
    [
      "multipart/mixed; boundary=b",
      '--b\r\nContent-Disposition: form-data; filename=x; NAME = "_METHOD"\r\n\r\nDELETE\r\n--b--',
    ],
  ],
  "multipart without a boundary": [
    ["multipart/form-data", "x"],
    ["multipart/form-data; boundary=", "x"],
  ],
  "forms that are read in two ways": [
    [FORM_TYPE, "a=1;b=2"],
    [FORM_TYPE, "a=%ff"],
    [FORM_TYPE, Uint8Array.from([0x61, 0x3d, 0xff])],
    [FORM_TYPE, "a=%00"],
    [FORM_TYPE, "a=%"],
    [FORM_TYPE, "__proto__=1"],
    [FORM_TYPE, "_charset_=utf-7"],
    [FORM_TYPE, "a=1&A=2"],
    [FORM_TYPE, "a=1&a[]=2"],
    [FORM_TYPE, "\ufeffa=1"],
  ],
};
test("what is no JSON at all is not valid, rather than ambiguous", () => {
  for (const body of ["{", "a=1", "{}{}", "\0"]) {
    assert.match(refusal(post("application/json", body)), /^invalid_request: /, body);
  }
});

for (const [what, bodies] of Object.entries(REFUSED)) {
  test(`refuses ${what}`, () => {
    for (const [type, body] of bodies) assert.match(refusal(post(type, body)), /^not_canonical: /, `${type}: ${body}`);
  });
}

test("a plain `method` property is honest, and so are the overrides' names deeper down", () => {
  for (const body of ['{"method":"card"}', '{"httpMethod":"GET"}', '{"a":{"_method":1}}', '["_method"]']) {
    assert.equal(content("application/json", body).kind, "json", body);
  }
});

test("a body over the service's limit is refused", () => {
  assert.match(refusal(post("text/plain", "x".repeat(11)), { requestBytes: 10 }), /^too_large: /);
  assert.equal(accepted(post("text/plain", "x".repeat(10)), { requestBytes: 10 }).body?.length, 10);
});

test("methods", () => {
  for (const method of ["get", "TRACE", "CONNECT", "PROPFIND", "", "GET ", "GET\r\n"])
    assert.match(refusal({ method }), /^method_not_allowed: /);
  for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    assert.equal(accepted({ method }).method, method);
});
