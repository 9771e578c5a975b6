import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpServiceConfig } from "../config/schema.ts";
import { agent, operation, principal, role, service, snapshotOf } from "../policy/policy.testing.ts";
import { createExecRoute } from "./exec-route.ts";

function at(name: string, basePath: string): HttpServiceConfig {
  const url = { origin: "https://api.example", protocol: "https:", host: "api.example", port: 443, basePath } as const;
  return { ...service(name, [operation("read")]), url };
}

const SNAPSHOT = snapshotOf({
  services: [at("root", ""), at("v1", "/v1"), at("again", "/v1"), at("hidden", "/hidden")],
  roles: [role("reader", ["root:*", "v1:*", "again:*"])],
  agents: [agent("bot", ["reader"])],
});
const PLACE = { protocol: "https:", host: "api.example", port: 443 } as const;

function routeOf(services: readonly string[], given: readonly string[] = []) {
  const facts = { ok: true };
  const bot = principal({ agent: "bot" });
  const { route } = createExecRoute({
    principal: bot,
    authenticate: () =>
      facts.ok ? { ok: true, principal: bot } : { ok: false, reason: "revoked", agent: "bot", keyId: undefined },
    snapshot: () => SNAPSHOT,
    services,
    placeholders: given.map((name) => ({ name: "TOKEN", service: name, value: "x", placeholder: undefined })),
  });
  return { route, facts };
}

test("the service whose url holds a request is found, the longest base path first", () => {
  const { route } = routeOf(["root", "v1"]);
  assert.equal(route(PLACE, "/v1")?.service, "v1");
  assert.equal(route(PLACE, "/v1/a?b")?.service, "v1");
  assert.equal(route(PLACE, "/v10")?.service, "root");
  assert.equal(route(PLACE, "/hidden/a")?.service, "root");
  assert.notEqual(route(PLACE), undefined);
});

test("another scheme, host or port is no service's, nor is one that the agent may not know of", () => {
  const { route } = routeOf([]);
  assert.equal(route({ ...PLACE, protocol: "http:" }), undefined);
  assert.equal(route({ ...PLACE, host: "evil.example" }), undefined);
  assert.equal(route({ ...PLACE, port: 8443 }), undefined);
  assert.equal(routeOf(["hidden"]).route(PLACE, "/hidden/a"), undefined);
});

test("of several at one place it must be said which", () => {
  assert.throws(() => routeOf([]).route(PLACE, "/v1/a"), { code: "denied", message: /`v1`, `again`/ });
  assert.equal(routeOf(["again"]).route(PLACE, "/v1/a")?.service, "again");
  assert.equal(routeOf([], ["again"]).route(PLACE, "/v1/a")?.service, "again");
});

test("a key that was taken back opens nothing more", () => {
  const { route, facts } = routeOf(["v1"]);
  facts.ok = false;
  assert.throws(() => route(PLACE), { code: "invalid_token" });
});
