import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decide } from "./decide.ts";
import {
  agent,
  mcpQuestion,
  mcpService,
  NOON,
  operation,
  principal,
  question,
  role,
  service,
  snapshotOf,
} from "./policy.testing.ts";
import { servicesFor } from "./visible-operations.ts";

const snapshot = snapshotOf({
  services: [
    service("dns", [
      operation("read", { allow: ["GET /domains", "GET /both"] }),
      operation("write", { effect: "write", allow: ["POST /domains", "GET /both"] }),
      operation("alone", { allow: ["GET /alone"] }),
    ]),
    mcpService("github", [operation("issues", { allow: [], tools: ["get_*"] })]),
  ],
  roles: [role("any", ["dns:read", "dns:write", "github:*"])],
  agents: [agent("bot", ["any"])],
});

function verdict(line: string, scopes: readonly string[] | undefined): string {
  const decision = decide(question(snapshot, line, { principal: { scopes } }));
  return decision.kind === "deny" ? `${decision.code} ${(decision.scopes ?? []).join(" ")}`.trim() : decision.kind;
}

test("a token without scopes may do all that its agent may; one with scopes nothing beyond them", () => {
  assert.equal(verdict("GET /domains", undefined), "permit");
  assert.equal(verdict("GET /domains", ["dns:read"]), "permit");
  assert.equal(verdict("GET /domains", ["dns:*"]), "permit");
  assert.equal(verdict("POST /domains", ["dns:read"]), "insufficient_scope dns:write");
  assert.equal(verdict("GET /domains", []), "insufficient_scope dns:read");
  assert.equal(verdict("GET /domains", ["dns:rea", "ns:read", "dns:read:x"]), "insufficient_scope dns:read");
});

test("each operation that matches needs its scope", () => {
  assert.equal(verdict("GET /both", ["dns:read", "dns:write"]), "permit");
  assert.equal(verdict("GET /both", ["dns:read"]), "insufficient_scope dns:write");
});

test("a scope gives nothing that no rule gives, and is not asked for then", () => {
  assert.equal(verdict("GET /alone", ["dns:alone"]), "denied");
  assert.equal(verdict("GET /alone", ["dns:read"]), "denied");
});

test("tools of MCP servers are held to the scopes too", () => {
  const ask = (scopes: readonly string[]) =>
    decide(mcpQuestion(snapshot, "tools/call get_issue", { principal: { scopes } }));
  assert.equal(ask(["github:issues"]).kind, "permit");
  const refused = ask(["dns:*"]);
  assert.equal(refused.kind === "deny" && refused.code, "insufficient_scope");
});

test("what is listed is within the scopes", () => {
  const listed = (scopes: readonly string[] | undefined) =>
    servicesFor(snapshot, principal({ scopes }), NOON).flatMap(({ operations }) =>
      operations.map(({ scope }) => scope),
    );
  assert.deepEqual(listed(undefined), ["dns:read", "dns:write", "github:issues"]);
  assert.deepEqual(listed(["dns:write", "github:other"]), ["dns:write"]);
  assert.deepEqual(listed([]), []);
});

test("law: a narrowed token is never permitted what the whole one is not", () => {
  const scope = fc.constantFrom("dns:read", "dns:write", "dns:alone", "dns:*", "*", "github:*", "*:read");
  const line = fc.constantFrom("GET /domains", "POST /domains", "GET /both", "GET /alone");
  fc.assert(
    fc.property(fc.array(scope), line, (scopes, sent) => {
      if (verdict(sent, scopes) === "permit") assert.equal(verdict(sent, undefined), "permit");
    }),
  );
});
