import assert from "node:assert/strict";
import { test } from "node:test";
import { compileSnapshot } from "./compile-snapshot.ts";
import { agent, config, operation, policy, type Rules, role, service } from "./policy.testing.ts";

function faults(rules: Rules): string[] {
  const compiled = compileSnapshot(config(rules));
  return compiled.ok ? [] : compiled.faults.map(({ path, problem }) => `${path.join(".")}: ${problem}`);
}

test("all faults are found at once, each at its place in the file", () => {
  const approval = { message: "Delete {path.other} {nothing}", preview: undefined, expiresSeconds: 60 };
  const found = faults({
    services: [
      service("dns", [
        operation("read", { allow: ["GET /ok", "GET no-slash"] }),
        operation("delete", { allow: ["DELETE /d/{id}"], approval, body: { type: "nonsense" } }),
      ]),
    ],
    agents: [agent("bot", [], { networks: ["10.0.0.0/99"], hours: "whenever" })],
    policies: [
      policy("a", "forbid", { when: 'operation.efect == "x"', rate: { count: 1, perSeconds: 1 } }),
      policy("b", "permit", {
        networks: ["127.0.0.1", "here"],
        approvers: { quorum: 1, expiresSeconds: undefined, separate: false },
      }),
    ],
  });
  const places = found.map((line) => line.split(": ")[0]);
  assert.deepEqual(places.sort(), [
    "agents.bot.hours",
    "agents.bot.networks.0",
    "policies.0.rate",
    "policies.0.when",
    "policies.1.approvers",
    "policies.1.networks.1",
    "services.dns.operations.delete.approval.message",
    "services.dns.operations.delete.body",
    "services.dns.operations.read.allow.1",
  ]);
});

test("a preview must be a plain read of the same service", () => {
  const withPreview = (preview: string, read = "GET /d/{id}") =>
    faults({
      services: [
        service("dns", [
          operation("read", { allow: [read] }),
          operation("write", { effect: "write", allow: ["GET /trigger/{id}", "POST /d/{id}"] }),
          operation("delete", {
            effect: "destructive",
            allow: ["DELETE /d/{id}"],
            approval: { message: undefined, preview, expiresSeconds: 60 },
          }),
        ]),
      ],
    });
  assert.deepEqual(withPreview("GET /d/{path.id}"), []);
  assert.deepEqual(withPreview("GET /d/{path.id}?type={query.type}"), []);
  const bad = [
    "POST /d/{path.id}",
    "/d/{path.id}",
    "GET d/{path.id}",
    "GET https://evil.example/d/{path.id}",
    "GET /elsewhere/{path.id}",
    "GET /trigger/{path.id}",
    "GET /d/../x",
    "GET /d/{preview.id}",
    "GET /d/{path.unknown}",
    "GET /d/{",
  ];
  for (const preview of bad) assert.equal(withPreview(preview).length > 0, true, preview);
  assert.match(
    withPreview("GET /trigger/{path.id}", "GET /trigger/{id}").join(),
    /read/,
    "nor may another operation match it",
  );
});

test("equal files have one id, whatever their order; a changed rule has another", () => {
  const id = (rules: Rules) => {
    const compiled = compileSnapshot(config(rules));
    assert.ok(compiled.ok);
    return compiled.snapshot.id;
  };
  const rules = { roles: [role("a", ["x:*"]), role("b", ["y:*"])], services: [service("dns", [operation("read")])] };
  assert.equal(id(rules), id({ ...rules, roles: rules.roles.toReversed() }));
  assert.notEqual(id(rules), id({ ...rules, roles: [role("a", ["x:*"]), role("b", ["y:z"])] }));
  assert.match(id(rules), /^[0-9a-f]{64}$/);
});

test("names of an object's inheritance are names like any other", () => {
  const rules: Rules = {
    services: [service("constructor", [operation("constructor", { allow: ["GET /{constructor}"] })])],
    roles: [role("constructor", ["constructor:*"])],
    agents: [agent("constructor", ["constructor"])],
  };
  assert.deepEqual(faults(rules), []);
});
