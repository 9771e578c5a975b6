import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "../base/json.ts";
import type { CanonicalRequest } from "./canonical-request.ts";
import { canonicaliseMcp, MCP_METHODS, type RawMcpCall } from "./mcp-call.ts";
import { requestDigest } from "./request-digest.ts";

const FORM = { service: "github", requestBytes: 1_000 };

function raw(parts: Partial<RawMcpCall> = {}): RawMcpCall {
  return { kind: "mcp", method: "tools/call", name: "get_issue", arguments: {}, lossy: false, ...parts };
}

function accepted(parts: Partial<RawMcpCall> = {}): CanonicalRequest {
  const result = canonicaliseMcp(raw(parts), FORM);
  assert.ok(result.ok, result.ok ? "" : `${JSON.stringify(parts)}: ${result.problem.message}`);
  return result.request;
}

function refusal(parts: Partial<RawMcpCall>): string {
  const result = canonicaliseMcp(raw(parts), FORM);
  assert.ok(!result.ok, `${JSON.stringify(parts)} was taken`);
  assert.doesNotMatch(result.problem.message, /[^\x20-\x7e…]/, "a message is one printable line");
  return result.problem.code;
}

const resource = (name: string) => ({ method: "resources/read", name }) as const;

test("a call of a tool is a request: the name is its path, the arguments its body", () => {
  const { body, ...request } = accepted({ arguments: { number: 7, labels: ["a"] } });
  assert.equal(Buffer.from(body ?? []).toString(), '{"number":7,"labels":["a"]}');
  assert.deepEqual(request, {
    service: "github",
    method: "tools/call",
    path: "/get_issue",
    segments: [{ text: "get_issue", raw: "get_issue", encoded: false }],
    query: [],
    search: "",
    headers: [],
    content: { kind: "json", value: { number: 7, labels: ["a"] }, lossy: false },
    dropped: [],
    origin: undefined,
    mcp: {
      method: "tools/call",
      name: "get_issue",
      arguments: { number: 7, labels: ["a"] },
      item: "tool",
    },
  });
});

test("each method speaks of one kind of item", () => {
  const items = new Map([
    ["tools/call", "tool"],
    ["prompts/get", "prompt"],
    ["resources/read", "resource"],
    ["resources/subscribe", "resource"],
    ["resources/unsubscribe", "resource"],
  ]);
  for (const method of MCP_METHODS) {
    if (method !== "completion/complete") assert.equal(accepted({ method }).mcp?.item, items.get(method));
  }
  const complete = (name: string, ref: JsonObject) =>
    ({ method: "completion/complete", name, arguments: { ref } }) as const;
  assert.equal(accepted(complete("p", { type: "ref/prompt", name: "p" })).mcp?.item, "prompt");
  assert.equal(accepted(complete("a:///{x}", { type: "ref/resource", uri: "a:///{x}" })).mcp?.item, "template");
  for (const ref of [
    {},
    { type: "ref/prompt", name: "q" },
    { type: "ref/prompt", uri: "p" },
    { type: "ref/tool", name: "p" },
  ]) {
    assert.equal(refusal(complete("p", ref)), "invalid_request", JSON.stringify(ref));
  }
});

test("a URI that a server could read as another one has no canonical form", () => {
  for (const uri of [
    "file:///a/../b",
    "file:///a/./b",
    "file:///a/..",
    "file:///a/%2e%2e/b",
    "file:///a/%2E./b",
    "file:///a%2f..%2fb",
    "file:///a/%252e%252e/b",
    "file:///a\\..\\b",
    "file:///a%5cb",
    "file:///a/..;x/b",
    "file:///a/．．/b",
    "file:///a/\u200b../b",
    "file:///a\nb",
    "file:///a%0ab",
    "file:///a%00b",
    "file:///%25252525252e",
    "../a",
    "x://a?path=../b",
  ]) {
    assert.equal(refusal(resource(uri)), "not_canonical", uri);
    assert.equal(
      refusal({ method: "completion/complete", name: uri, arguments: { ref: { type: "ref/resource", uri } } }),
      "not_canonical",
    );
  }
});

test("honest URIs and names pass as they are", () => {
  for (const uri of [
    "file:///home/me/notes.md",
    "file:///a/..b/c...d/.hidden",
    "file:///caf%C3%A9/a%20b",
    "repo://owner%2Fname/contents",
    "postgres://db/table/schema",
    "test://static/resource/1",
    "note://größe",
    "screen://0?zoom=1.5#top",
    "a://100%",
  ]) {
    assert.equal(accepted(resource(uri)).mcp?.name, uri);
  }
  for (const name of ["get_issue", "a/b", "a.b", "..", "größe", "a b"])
    assert.equal(accepted({ name }).mcp?.name, name);
});

test("what cannot be sent is refused", () => {
  assert.equal(refusal({ name: "" }), "invalid_request");
  assert.equal(refusal({ name: "a\u0000" }), "not_canonical");
  assert.equal(refusal({ name: "\ud800" }), "not_canonical");
  assert.equal(refusal({ name: "a".repeat(9_000) }), "too_large");
  assert.equal(refusal({ arguments: { a: "x".repeat(1_000) } }), "too_large");
  let deep: JsonObject = {};
  for (let level = 0; level < 70; level++) deep = { a: deep };
  assert.equal(refusal({ arguments: deep }), "invalid_request");
});

test("arguments that two readers see differently are marked", () => {
  const lossy = (parts: Partial<RawMcpCall>) => {
    const { content } = accepted(parts);
    return content.kind === "json" && content.lossy;
  };
  assert.equal(lossy({ arguments: { a: 1 } }), false);
  assert.equal(lossy({ arguments: { a: { b: 1, B: 2 } } }), true);
  assert.equal(lossy({ lossy: true }), true);
});

test("law: two calls have one digest only when they are the same call", () => {
  const name = fc.constantFrom("a", "a/b", "a%2Fb", "A", "ä");
  const call = fc.record({
    method: fc.constantFrom("tools/call", "prompts/get", "resources/read" as const),
    name,
    arguments: fc.dictionary(fc.constantFrom("x", "y"), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 2 }),
  });
  fc.assert(
    fc.property(call, call, (one, other) => {
      const digests = [one, other].map((parts) =>
        requestDigest({ agent: "bot", request: accepted(parts as Partial<RawMcpCall>) }),
      );
      const [text, otherText] = [one, other].map(({ method, name, arguments: args }) =>
        JSON.stringify([method, name, args]),
      );
      assert.equal(digests[0] === digests[1], text === otherText);
    }),
    { numRuns: 300 },
  );
});

test("the digest names where a request of a started server goes", () => {
  const { mcp: _, ...base } = accepted();
  const digest = (origin: string | undefined) =>
    requestDigest({ agent: "bot", request: { ...base, mcp: undefined, origin } });
  const digests = [undefined, "https://a.example", "https://b.example"].map(digest);
  assert.equal(new Set(digests).size, 3);
});
