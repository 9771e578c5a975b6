import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Principal } from "../identity/principal.ts";
import { decide } from "./decide.ts";
import { agent, NOON, operation, principal, question, role, service, snapshotOf } from "./policy.testing.ts";
import { servicesFor } from "./visible-operations.ts";

const snapshot = snapshotOf({
  services: [service("dns", [operation("read", { allow: ["GET /a"] })])],
  roles: [role("reader", ["dns:read"]), role("editor", ["dns:read"])],
  agents: [agent("bot", ["reader", "editor"], { tenant: "acme", purposes: ["dns", "mail"] })],
});

const SIGNED = { purpose: "dns", task: "T-1", tenant: "acme", role: "reader" };
const HELD = { purpose: "dns", task: "T-1", stated: { tenant: "acme", role: "reader" } };

function verdict(who: Partial<Principal>): string {
  const decision = decide(question(snapshot, "GET /a", { principal: { tenant: "acme", ...who } }));
  return decision.kind === "deny" ? decision.reason : decision.kind;
}

test("a call that states what its token was issued for is let through", () => {
  assert.equal(verdict({ signed: SIGNED, ...HELD }), "permit");
});

const OTHERS: Record<string, Partial<Principal>> = {
  purpose: { ...HELD, purpose: "mail" },
  task: { ...HELD, task: "T-2" },
  tenant: { ...HELD, stated: { ...HELD.stated, tenant: "globex" } },
  role: { ...HELD, stated: { ...HELD.stated, role: "editor" } },
};

for (const [part, stated] of Object.entries(OTHERS)) {
  test(`a call that states another ${part} than its token is refused, and sees nothing`, () => {
    const who = { tenant: "acme", signed: SIGNED, ...stated };
    assert.equal(verdict(who), "signed_context");
    assert.deepEqual(servicesFor(snapshot, principal(who), NOON), []);
  });
}

test("what a token does not say is for each call to say", () => {
  assert.equal(verdict({ signed: { role: "reader" }, purpose: "mail", stated: { role: "reader" } }), "permit");
});

test("a token for what its agent is not gives nothing", () => {
  assert.equal(
    verdict({ signed: { tenant: "globex" }, purpose: "dns", stated: { tenant: "globex" } }),
    "stated_tenant",
  );
  assert.equal(verdict({ signed: { role: "admin" }, purpose: "dns", stated: { role: "admin" } }), "stated_role");
  assert.equal(verdict({ signed: { purpose: "spam" }, purpose: "spam" }), "purpose");
});

test("law: a signed context permits nothing that would be refused without it", () => {
  const word = fc.constantFrom("dns", "mail", "T-1", "acme", "globex", "reader", "editor", undefined);
  const context = fc.record({ purpose: word, task: word, tenant: word, role: word });
  fc.assert(
    fc.property(context, context, (signed, { purpose, task, ...stated }) => {
      if (verdict({ signed, purpose, task, stated }) === "permit") {
        assert.equal(verdict({ purpose, task, stated }), "permit");
      }
    }),
  );
});
