import assert from "node:assert/strict";
import { test } from "node:test";
import { createCounters } from "../policy/counters.ts";
import { agent, mcpService, NOON, operation, principal, role, snapshotOf } from "../policy/policy.testing.ts";
import { createExplainer } from "./explain-call.ts";

const tools = operation("o", { allow: [], tools: ["get_*"], arguments: { repo: { const: "site" } } });
const snapshot = snapshotOf({
  services: [mcpService("github", [tools])],
  roles: [role("any", ["github:*"])],
  agents: [agent("bot", ["any"])],
});
const explainer = createExplainer({ snapshot: () => snapshot, counters: createCounters(), now: () => NOON });

function explained(method: string, target: string, body = "{}") {
  const raw = { method, target, headers: [], body: Buffer.from(body) };
  return explainer({ principal: principal(), service: "github", raw, door: "api" });
}

test("a call of an MCP server is explained by its method, the item's name and the arguments", () => {
  assert.deepEqual(
    ["get_issue", "/get_issue", "/get%5Fissue"].map((name) => explained("tools/call", name).decision),
    ["permit", "permit", "permit"],
  );
  assert.equal(explained("tools/call", "get_issue", '{"repo":"site"}').decision, "permit");
  assert.match(explained("tools/call", "get_issue", '{"repo":"other"}').detail ?? "", /arguments/);
  assert.equal(explained("tools/call", "delete").code, "unknown_operation");
  assert.match(explained("GET", "/get_issue", "").detail ?? "", /takes no HTTP requests/);
});
