import assert from "node:assert/strict";
import { test } from "node:test";
import { mcpService, operation, principal, snapshotOf } from "../policy/policy.testing.ts";
import { wantedConnection } from "./wanted-connection.ts";

test("two tenants are never served by one connection, and what they are offered is the same", async () => {
  const snapshot = snapshotOf({ services: [mcpService("github", [operation("all", { allow: [], tools: ["*"] })])] });
  const service = snapshot.services.get("github");
  assert.ok(service?.kind === "mcp");
  const ask = (tenant: string | undefined) => {
    const asking = { service, principal: principal({ tenant }), relay: undefined };
    return wantedConnection(async () => undefined, asking, new Map());
  };
  const [acme, again, globex, none] = await Promise.all([ask("acme"), ask("acme"), ask("globex"), ask(undefined)]);
  assert.equal(acme?.key, again?.key);
  assert.equal(new Set([acme, globex, none].map((wanted) => wanted?.key)).size, 3);
  assert.equal(acme?.surfaceKey, globex?.surfaceKey);
});
