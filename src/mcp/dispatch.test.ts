import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { principal } from "../policy/policy.testing.ts";
import { createDispatch, type DispatchContext } from "./dispatch.ts";
import type { Era } from "./era.ts";
import { RpcError } from "./json-rpc.ts";
import { structured, type Tool, type ToolContext } from "./tool.ts";

const SERVER = { name: "doorward", version: "1" };

function stage(run: Tool["run"] = () => structured({ done: true })) {
  const faults: unknown[] = [];
  const contexts: ToolContext[] = [];
  const tool = (name: string): Tool => ({
    definition: { name, title: name, description: name, inputSchema: {} },
    run(args, context) {
      contexts.push(context);
      return run(args, context);
    },
  });
  const dispatch = createDispatch(SERVER, [tool("b"), tool("a")], (error) => void faults.push(error));
  const ask = async (
    method: string,
    params: JsonObject = {},
    era: Era = "modern",
    more: Partial<DispatchContext> = {},
  ) =>
    (await dispatch(
      { kind: "request", id: 1, method, params },
      { era, principal: principal(), requestId: "req_1", signal: undefined, lossy: false, whenSent: () => {}, ...more },
    )) as { readonly [field: string]: unknown };
  return { ask, faults, contexts };
}

const rpc = (code: number) => (error: unknown) => error instanceof RpcError && error.code === code;

test("a list is in its own order, private, and for a minute", async () => {
  const { ask } = stage();
  const modern = await ask("tools/list");
  assert.deepEqual(
    (modern["tools"] as { name: string }[]).map(({ name }) => name),
    ["b", "a"],
  );
  assert.deepEqual([modern["cacheScope"], modern["ttlMs"], modern["resultType"]], ["private", 60_000, "complete"]);
  assert.deepEqual(Object.keys(await ask("tools/list", {}, "legacy")), ["tools"]);
  await assert.rejects(ask("tools/list", { cursor: "x" }), rpc(-32602));
});

test("each era has its own beginning, and not the other's", async () => {
  const { ask } = stage();
  const discovered = await ask("server/discover");
  assert.deepEqual(discovered["supportedVersions"], ["2026-07-28"]);
  for (const method of ["initialize", "ping", "x"]) await assert.rejects(ask(method), rpc(-32601));
  await assert.rejects(ask("server/discover", {}, "legacy"), rpc(-32601));
  assert.deepEqual(await ask("ping", {}, "legacy"), {});
});

test("a version that is spoken is echoed, another answered with the newest", async () => {
  const { ask } = stage();
  for (const [asked, got] of [
    ["2025-06-18", "2025-06-18"],
    ["2024-11-05", "2024-11-05"],
    ["1999-01-01", "2025-11-25"],
    ["2026-07-28", "2025-11-25"],
  ] as const) {
    const { protocolVersion } = await ask("initialize", { protocolVersion: asked }, "legacy");
    assert.equal(protocolVersion, got);
  }
  await assert.rejects(ask("initialize", {}, "legacy"), rpc(-32602));
});

test("a call that names no tool, or brings no arguments, is a protocol error", async () => {
  const { ask, contexts } = stage();
  for (const params of [{}, { name: 1 }, { name: "c" }, { name: "toString" }, { name: "a", arguments: [] }]) {
    await assert.rejects(ask("tools/call", params), rpc(-32602));
  }
  assert.equal(contexts.length, 0);
});

test("a refusal is a result of the tool, with the contract's fields", async () => {
  const fields = { rule: "policy:x", approval_id: "apr_1", expires_at: "2026-11-21T00:00:00.000Z" };
  const { ask, faults } = stage(() => {
    throw new Problem("denied", { detail: "no", remedy: "Ask.", fields, reason: "for the audit" });
  });
  const result = await ask("tools/call", { name: "a" }, "legacy");
  assert.deepEqual(result, {
    isError: true,
    content: [{ type: "text", text: "denied: no. Ask. (req_1)" }],
    structuredContent: { error: { code: "denied", message: "no", remedy: "Ask.", request_id: "req_1", ...fields } },
  });
  assert.deepEqual(faults, []);
});

test("a fault is told to us whole, and to the caller as `internal_error`", async () => {
  const { ask, faults } = stage(() => {
    throw new TypeError("with something secret");
  });
  const result = await ask("tools/call", { name: "a" });
  assert.ok(!JSON.stringify(result).includes("secret"));
  assert.match(JSON.stringify(result), /internal_error/);
  assert.equal(faults.length, 1);
});

test("purpose and task of a call are its own, and must be texts that fit", async () => {
  const { ask, contexts } = stage();
  await ask("tools/call", { name: "a", _meta: { "doorward/purpose": "dns", "doorward/task": "t1" } });
  await ask("tools/call", { name: "a", _meta: {} }, "modern", { principal: principal({ purpose: "header" }) });
  assert.deepEqual(
    contexts.map(({ principal: { purpose, task, agent } }) => [purpose, task, agent]),
    [
      ["dns", "t1", "bot"],
      ["header", undefined, "bot"],
    ],
  );
  for (const value of ["", "x".repeat(129), 1, null]) {
    const result = await ask("tools/call", { name: "a", _meta: { "doorward/purpose": value } });
    assert.match(JSON.stringify(result), /invalid_request/);
  }
  assert.equal(contexts.length, 2);
});
