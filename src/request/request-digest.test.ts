import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CanonicalRequest } from "./canonical-request.ts";
import { accepted } from "./request.testing.ts";
import { requestDigest } from "./request-digest.ts";

const call = {
  method: "POST",
  target: "/a/b?c=d",
  headers: [
    ["accept", "x"],
    ["content-type", "text/plain"],
  ] as [string, string][],
  body: "hello",
};
const digest = (parts: Parameters<typeof accepted>[0], agent = "bot", form = {}) =>
  requestDigest({ agent, request: accepted(parts, form) });

test("a digest is SHA-256 in hex, and the same for the same call", () => {
  assert.match(digest(call), /^[0-9a-f]{64}$/);
  assert.equal(digest(call), digest({ ...call, target: "/%61/b?c=%64" }), "one canonical form");
});

test("trace and request ids do not make another call", () => {
  for (const name of ["traceparent", "tracestate", "x-request-id", "baggage"]) {
    assert.equal(
      digest({ ...call, headers: [...call.headers, [name, "1"]] }, "bot", { allowHeaders: new Set(["baggage"]) }),
      digest(call),
      name,
    );
  }
});

test("anything else does", () => {
  const others = [
    digest(call, "other"),
    digest(call, "bot", { service: "other" }),
    digest({ ...call, method: "PUT" }),
    digest({ ...call, target: "/a/b/?c=d" }),
    digest({ ...call, target: "/a/b?c=e" }),
    digest({ ...call, target: "/a/b?c" }),
    digest({ ...call, body: "hellp" }),
    digest({ ...call, body: undefined }),
    digest({
      ...call,
      headers: [
        ["accept", "y"],
        ["content-type", "text/plain"],
      ],
    }),
    digest({ ...call, headers: [...call.headers, ["idempotency-key", "k"]] }),
    digest({ ...call, headers: [["content-type", "text/plain"]] }),
  ];
  assert.equal(new Set([...others, digest(call)]).size, others.length + 1);
});

test("law: different parts never run into one another", () => {
  const text = fc.string({ unit: fc.constantFrom("a", ":", "1", "0", "-", "é"), maxLength: 3 });
  const request = fc.record({
    agent: text,
    service: text,
    path: text,
    search: text,
    headers: fc.array(fc.tuple(text, text), { maxLength: 2 }),
    body: fc.option(fc.uint8Array({ maxLength: 2 }), { nil: undefined }),
  });
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(request, ({ agent, ...parts }) => {
      const made = requestDigest({
        agent,
        request: {
          method: "GET",
          segments: [],
          query: [],
          dropped: [],
          origin: undefined,
          mcp: undefined,
          content: { kind: "none" },
          ...parts,
        } as CanonicalRequest,
      });
      const plain = JSON.stringify([
        agent,
        parts.service,
        parts.path,
        parts.search,
        parts.headers,
        parts.body === undefined ? null : [...parts.body],
      ]);
      assert.equal(seen.get(made) ?? plain, plain);
      seen.set(made, plain);
    }),
    { numRuns: 1_000 },
  );
});
