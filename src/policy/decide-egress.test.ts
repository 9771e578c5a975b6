import assert from "node:assert/strict";
import { test } from "node:test";
import type { McpServiceConfig, OperationConfig } from "../config/schema.ts";
import { canonicalise } from "../request/canonicalise.ts";
import { withKills } from "./compile-snapshot.ts";
import { decideEgress, includesOrigin } from "./decide-egress.ts";
import {
  mcpService,
  NOON,
  operation,
  policy,
  principal,
  type Rules,
  snapshotOf,
  stdioServer,
} from "./policy.testing.ts";

const HOSTS = [{ host: "api.github.com", port: 443 }];
const NETWORK = [{ host: "cdn.example", port: 8443 }];

function server(operations: readonly OperationConfig[], parts: Partial<McpServiceConfig> = {}): McpServiceConfig {
  return mcpService("github", operations, {
    server: stdioServer({ network: NETWORK }),
    credential: { kind: "env", name: "T", secret: "local:github", hosts: HOSTS, place: "header", file: undefined },
    limits: { timeoutMs: 1_000, requestBytes: 1_000, responseBytes: 1_000, rate: undefined },
    ...parts,
  });
}

/** Decides `METHOD https://host/path` of the server. */
function ask(line: string, service: McpServiceConfig, rules: Omit<Rules, "services"> = {}, kill?: string) {
  const [method = "", url = ""] = line.split(" ");
  const { origin, pathname, search } = new URL(url);
  const compiled = snapshotOf({ ...rules, services: [service] });
  const kills = kill === undefined ? [] : [{ target: kill, why: "a test", setBy: "owner", setAt: NOON }];
  const snapshot = withKills(compiled, kills);
  const target = snapshot.services.get("github")!;
  const raw = { method, target: pathname + search, headers: [], body: undefined, origin };
  const canonical = canonicalise(raw, { ...target.form, door: "egress", program: true });
  if (!canonical.ok) throw canonical.problem;
  const who = principal({ agent: "service:github", client: "sandbox", ip: "unix" });
  const { request } = canonical;
  const decision = decideEgress({ snapshot, principal: who, service: target, request, now: NOON });
  const code = decision.kind === "deny" ? decision.code : undefined;
  return { kind: decision.kind, code, rules: decision.rules, scopes: decision.operations.map(({ scope }) => scope) };
}

const READS = operation("read", { allow: ["GET /repos/{owner}"] });
const TOOLS = operation("tools", { allow: [], tools: ["*"] });

test("without listed endpoints every endpoint of the declared hosts is the server's, and of no other", () => {
  const service = server([TOOLS]);
  assert.deepEqual(ask("DELETE https://api.github.com/x", service), {
    kind: "permit",
    code: undefined,
    rules: ["service:github"],
    scopes: [],
  });
  assert.equal(ask("GET https://cdn.example:8443/x", service).kind, "permit");
  for (const origin of [
    "https://evil.example",
    "https://api.github.com:8443",
    "http://api.github.com",
    "https://cdn.example",
    "https://x.api.github.com",
    "https://api.github.com.evil.example",
  ]) {
    const { kind, code, rules } = ask(`GET ${origin}/x`, service);
    assert.deepEqual([kind, code, rules], ["deny", "denied", ["service:github"]], origin);
  }
});

test("one listed endpoint closes all others", () => {
  const service = server([TOOLS, READS]);
  assert.deepEqual(ask("GET https://api.github.com/repos/a", service).scopes, ["github:read"]);
  assert.equal(ask("GET https://api.github.com/repos/a/b", service).code, "unknown_operation");
  assert.equal(ask("GET https://api.github.com/repos%2Fa", service).kind, "deny");
  assert.equal(ask("GET https://evil.example/repos/a", service).code, "denied");
});

test("policies that forbid hold, one that cannot be evaluated too; those that permit add nothing", () => {
  const service = server([READS]);
  const line = "GET https://api.github.com/repos/a";
  const forbidding = { policies: [policy("no", "forbid", { on: ["github:*"] })] };
  assert.deepEqual(ask(line, service, forbidding).rules, ["policy:no"]);
  const broken = { policies: [policy("broken", "ask", { when: 'request.query["missing"] == "x"' })] };
  assert.deepEqual([ask(line, service, broken).kind, ask(line, service, broken).rules], ["deny", ["policy:broken"]]);
  const permitting = { policies: [policy("yes", "permit")] };
  assert.equal(ask("GET https://api.github.com/other", service, permitting).kind, "deny");
});

test("a policy sees the server as what it is", () => {
  const line = "GET https://api.github.com/repos/a";
  const named = { policies: [policy("no", "forbid", { when: 'principal.agent == "service:github"' })] };
  assert.equal(ask(line, server([READS]), named).kind, "deny");
  const others = { policies: [policy("no", "forbid", { agents: ["bot"] })] };
  assert.equal(ask(line, server([READS]), others).kind, "permit");
});

test("a policy or an operation that asks holds the request", () => {
  const line = "GET https://api.github.com/repos/a";
  assert.equal(ask(line, server([READS]), { policies: [policy("ask", "ask")] }).kind, "ask");
  const approval = { message: "Read {path.owner}", preview: undefined, expiresSeconds: 900 };
  assert.deepEqual(ask(line, server([{ ...READS, approval }])).rules, ["operation:github:read"]);
});

for (const kill of ["all", "service:github", "secret:github", "agent:service:github", "operation:github:read"]) {
  test(`a kill of ${kill} comes first`, () => {
    const forbidding = { policies: [policy("no", "forbid")] };
    assert.equal(ask("GET https://api.github.com/repos/a", server([READS]), forbidding, kill).code, "killed");
  });
}

test("a server that is reached over HTTP has no way out of its own", () => {
  const url = {
    origin: "https://mcp.example",
    protocol: "https:",
    host: "mcp.example",
    port: 443,
    basePath: "",
  } as const;
  const remote = server([TOOLS], { server: { transport: "http", url, legacySse: false }, credential: undefined });
  assert.equal(ask("GET https://api.github.com/x", remote).kind, "deny");
});

test("plain HTTP is for private services, and not on the port of TLS", () => {
  const hosts = [
    { host: "127.0.0.1", port: 8080 },
    { host: "10.0.0.1", port: 443 },
  ];
  assert.equal(includesOrigin(hosts, "http://127.0.0.1:8080", true), true);
  assert.equal(includesOrigin(hosts, "http://127.0.0.1:8080", false), false);
  assert.equal(includesOrigin(hosts, "http://10.0.0.1:443", true), false);
  assert.equal(includesOrigin(hosts, "https://10.0.0.1", false), true);
});
