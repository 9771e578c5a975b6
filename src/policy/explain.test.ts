import assert from "node:assert/strict";
import { test } from "node:test";
import { withKills } from "./compile-snapshot.ts";
import { decide } from "./decide.ts";
import { explain } from "./explain.ts";
import {
  agent,
  NOON,
  operation,
  policy,
  principal,
  question,
  type Rules,
  role,
  service,
  snapshotOf,
} from "./policy.testing.ts";
import { servicesFor } from "./visible-operations.ts";

const operations = [
  operation("read", { allow: ["GET /domains/{domain}"] }),
  operation("write", { effect: "write", allow: ["POST /domains/{domain}"], body: { type: "object" } }),
  operation("delete", { effect: "destructive", allow: ["DELETE /domains/{domain}"] }),
];
const rules: Rules = {
  services: [service("dns", operations, { description: "Domains" }), service("mail", [operation("send")])],
  roles: [role("reader", ["dns:read"]), role("any", ["dns:*"], { rate: { count: 5, perSeconds: 60 } })],
  agents: [agent("bot", ["any", "reader"])],
  policies: [
    policy("ask-first", "ask", { when: 'operation.effect == "destructive"' }),
    policy("nights", "forbid", { when: "now.hour < 8", effects: ["write", "destructive"] }),
    policy("big", "forbid", { on: ["dns:write"], when: "request.size > 100" }),
  ],
};

test("the explanation is the decision with every rule that was looked at, and why", () => {
  const asked = question(snapshotOf(rules), "DELETE /domains/a");
  const { decision, rules: traced, remedy } = explain(asked);
  assert.equal(decision.kind, "ask");
  assert.deepEqual({ ...decision, approval: undefined }, { ...decide(asked), approval: undefined });
  assert.match(remedy, /approved/);
  const byId = new Map(traced.map((rule) => [`${rule.id} ${rule.effect}`, rule.matched]));
  assert.deepEqual(
    byId,
    new Map([
      ["role:any permit", true],
      ["role:reader permit", false],
      ["policy:ask-first ask", true],
      ["policy:nights forbid", false],
      ["role:any limit", false],
    ]),
  );
});

test("a denial is explained by what denied", () => {
  const denied = explain(
    question(snapshotOf({ ...rules, roles: [role("any", ["dns:read"])] }), "POST /domains/a", { sent: { json: {} } }),
  );
  assert.equal(denied.decision.kind, "deny");
  assert.ok(denied.rules.some(({ id, effect, matched }) => id === "default" && effect === "deny" && matched));
  assert.match(denied.remedy, /role that allows `dns:write`/);
  const killed = withKills(snapshotOf(rules), [{ target: "service:dns", why: "", setBy: "owner", setAt: NOON }]);
  assert.deepEqual(
    explain(question(killed, "GET /domains/a")).rules.map(({ id }) => id),
    ["kill:service:dns"],
  );
});

test("listed is what may be used, with how often a person is asked", () => {
  const listed = servicesFor(snapshotOf(rules), principal(), NOON);
  assert.deepEqual(listed, [
    {
      name: "dns",
      kind: "http",
      description: "Domains",
      operations: [
        { scope: "dns:read", effect: "read", approval: "never", endpoints: ["GET /domains/{domain}"] },
        {
          scope: "dns:write",
          effect: "write",
          approval: "never",
          endpoints: ["POST /domains/{domain}"],
          input_schema: { body: { type: "object" } },
        },
        { scope: "dns:delete", effect: "destructive", approval: "always", endpoints: ["DELETE /domains/{domain}"] },
      ],
    },
  ]);
});

test("what is forbidden whatever the request is, is not listed", () => {
  const scopes = (parts: Partial<Rules>, at = NOON, who: Parameters<typeof principal>[0] = {}) =>
    servicesFor(snapshotOf({ ...rules, ...parts }), principal(who), at).flatMap((each) =>
      each.operations.map(({ scope }) => scope),
    );
  assert.deepEqual(scopes({}, new Date("2026-11-18T03:00:00Z")), ["dns:read"]);
  assert.deepEqual(scopes({ policies: [policy("no", "forbid", { on: ["dns:read"] })] }), ["dns:write", "dns:delete"]);
  assert.deepEqual(scopes({ policies: [policy("no", "forbid", { on: ["dns:read"], tenants: ["x"] })] }), [
    "dns:read",
    "dns:write",
    "dns:delete",
  ]);
  assert.deepEqual(scopes({ agents: [agent("bot", ["any"], { expires: NOON })] }), []);
  assert.deepEqual(scopes({ agents: [agent("bot", [])] }), []);
  assert.deepEqual(scopes({ agents: [agent("bot", ["reader"])] }), ["dns:read"]);
  assert.deepEqual(scopes({ agents: [] }), []);
  assert.deepEqual(scopes({ services: [service("dns", operations, { tenant: "acme" })] }), []);
  assert.deepEqual(
    scopes({ services: [service("dns", operations, { environment: "prod" })] }, NOON, { environment: "dev" }),
    [],
  );
});

test("a kill takes what it names out of the list", () => {
  const scopes = (target: string) =>
    servicesFor(
      withKills(snapshotOf(rules), [{ target, why: "", setBy: "owner", setAt: NOON }]),
      principal(),
      NOON,
    ).flatMap((each) => each.operations.map(({ scope }) => scope));
  assert.deepEqual(scopes("all"), []);
  assert.deepEqual(scopes("service:dns"), []);
  assert.deepEqual(scopes("operation:dns:read"), ["dns:write", "dns:delete"]);
});

test("an ask that depends on the request is `sometimes`", () => {
  const policies = [policy("big", "ask", { when: "request.size > 100" })];
  const [dns] = servicesFor(snapshotOf({ ...rules, policies }), principal(), NOON);
  assert.deepEqual(new Set(dns?.operations.map(({ approval }) => approval)), new Set(["sometimes"]));
});
