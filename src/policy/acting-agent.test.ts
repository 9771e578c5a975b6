import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { StatedContext } from "../identity/principal.ts";
import { actingAgent } from "./acting-agent.ts";
import { decide } from "./decide.ts";
import { agent, NOON, operation, policy, principal, question, role, service, snapshotOf } from "./policy.testing.ts";
import { servicesFor } from "./visible-operations.ts";

const snapshot = snapshotOf({
  services: [
    service("dns", [
      operation("read", { allow: ["GET /a"] }),
      operation("write", { effect: "write", allow: ["POST /a"] }),
      operation("admin", { effect: "write", allow: ["DELETE /a"] }),
    ]),
  ],
  roles: [
    role("reader", ["dns:read"]),
    role("editor", ["dns:write"], { extends: ["reader"] }),
    role("admin", ["dns:admin"]),
    role("foreign", ["dns:*"]),
  ],
  agents: [agent("bot", ["editor", "admin"], { tenant: "acme" }), agent("free", ["reader"])],
  policies: [policy("only-reader", "forbid", { on: ["dns:read"], when: 'principal.roles == ["reader"]' })],
});

function verdict(line: string, stated: StatedContext | undefined, who = {}): string {
  const decision = decide(question(snapshot, line, { principal: { tenant: "acme", stated, ...who } }));
  return decision.kind === "deny" ? decision.reason : decision.kind;
}

test("a stated role narrows the call to it and to what it extends", () => {
  assert.equal(verdict("DELETE /a", undefined), "permit");
  assert.equal(verdict("DELETE /a", { role: "admin" }), "permit");
  assert.equal(verdict("DELETE /a", { role: "editor" }), "no_rule_matched");
  assert.equal(verdict("GET /a", { role: "editor" }), "permit");
  assert.equal(verdict("POST /a", { role: "reader" }), "no_rule_matched");
  assert.equal(verdict("GET /a", { role: "reader" }), "forbidden", "rules see the role that acts");
});

test("a role or a tenant that is not the agent's is refused before any rule is asked", () => {
  for (const stated of [{ role: "foreign" }, { role: "nothing" }, { role: "constructor" }])
    assert.equal(verdict("GET /a", stated), "stated_role", stated.role);
  assert.equal(verdict("GET /a", { tenant: "acme" }), "permit");
  assert.equal(verdict("GET /a", { tenant: "globex" }), "stated_tenant");
  assert.equal(verdict("GET /a", { tenant: "acme" }, { agent: "free", tenant: undefined }), "stated_tenant");
});

test("what is listed is what the stated role may use", () => {
  const listed = (stated: StatedContext) =>
    servicesFor(snapshot, principal({ tenant: "acme", stated }), NOON).flatMap(({ operations }) =>
      operations.map(({ scope }) => scope),
    );
  assert.deepEqual(listed({ role: "admin" }), ["dns:admin"]);
  assert.deepEqual(listed({ role: "foreign" }), []);
  assert.deepEqual(listed({ tenant: "globex" }), []);
});

test("without a stated role the agent is the compiled one, and an unknown agent is none", () => {
  assert.equal(actingAgent(snapshot, principal()), snapshot.agents.get("bot"));
  assert.equal(actingAgent(snapshot, principal({ agent: "nobody", stated: { role: "admin" } })), undefined);
});

test("law: whatever is stated, nothing is permitted that is not permitted without it", () => {
  const name = fc.constantFrom("reader", "editor", "admin", "foreign", "acme", "globex", undefined);
  const line = fc.constantFrom("GET /a", "POST /a", "DELETE /a");
  fc.assert(
    fc.property(name, name, line, (stated, tenant, sent) => {
      if (verdict(sent, { role: stated, tenant }) === "permit") assert.equal(verdict(sent, undefined), "permit");
    }),
  );
});
