import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonValue } from "../base/json.ts";
import { errorMessage, parseMessage, RPC, RpcError, resultMessage } from "./json-rpc.ts";

const REFUSED: Record<string, JsonValue> = {
  "a batch": [{ jsonrpc: "2.0", id: 1, method: "ping" }],
  "an empty batch": [],
  "a text": "ping",
  "no version": { id: 1, method: "ping" },
  "an older version": { jsonrpc: "1.0", id: 1, method: "ping" },
  "a null id": { jsonrpc: "2.0", id: null, method: "ping" },
  "a fractional id": { jsonrpc: "2.0", id: 1.5, method: "ping" },
  "an id beyond exact integers": { jsonrpc: "2.0", id: 2 ** 53, method: "ping" },
  "an object as id": { jsonrpc: "2.0", id: {}, method: "ping" },
  "a method that is no text": { jsonrpc: "2.0", id: 1, method: 1 },
  "params that are a list": { jsonrpc: "2.0", id: 1, method: "x", params: [] },
  "null params": { jsonrpc: "2.0", id: 1, method: "x", params: null },
  "a request that is an answer too": { jsonrpc: "2.0", id: 1, method: "x", result: {} },
  "neither request nor answer": { jsonrpc: "2.0", id: 1 },
  "an answer with result and error": { jsonrpc: "2.0", id: 1, result: {}, error: {} },
  "an answer without id": { jsonrpc: "2.0", result: {} },
};

for (const [what, value] of Object.entries(REFUSED)) {
  test(`${what} is no message`, () => {
    assert.throws(
      () => parseMessage(value),
      (error) => error instanceof RpcError && error.code === RPC.invalidRequest && error.status === 400,
    );
  });
}

test("a batch is told what to do instead", () => {
  assert.throws(() => parseMessage([]), /one message at a time/);
});

test("requests, notifications and answers are told apart", () => {
  assert.deepEqual(parseMessage({ jsonrpc: "2.0", id: 0, method: "a" }), {
    kind: "request",
    id: 0,
    method: "a",
    params: {},
  });
  assert.deepEqual(parseMessage({ jsonrpc: "2.0", id: "", method: "a", params: { b: 1 } }), {
    kind: "request",
    id: "",
    method: "a",
    params: { b: 1 },
  });
  assert.deepEqual(parseMessage({ jsonrpc: "2.0", method: "a" }), { kind: "notification", method: "a", params: {} });
  assert.deepEqual(parseMessage({ jsonrpc: "2.0", id: 1, error: {} }), { kind: "answer", id: 1, result: undefined });
  const answer = parseMessage({ jsonrpc: "2.0", id: "a", result: { b: 1 } });
  assert.deepEqual(answer, { kind: "answer", id: "a", result: { b: 1 } });
});

test("ids come back as they were", () => {
  for (const id of [0, -1, "", '"', "\n", "1"]) {
    assert.deepEqual(JSON.parse(resultMessage(id, { a: 1 })), { jsonrpc: "2.0", id, result: { a: 1 } });
    const error = new RpcError(RPC.invalidParams, "no", { data: { b: 2 } });
    assert.deepEqual(JSON.parse(errorMessage(id, error)), {
      jsonrpc: "2.0",
      id,
      error: { code: -32602, message: "no", data: { b: 2 } },
    });
  }
  assert.equal(JSON.parse(errorMessage(undefined, new RpcError(1, "x"))).id, null);
});
