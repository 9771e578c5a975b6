import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { exchangeRaw, requestBytes } from "../laws/raw-http.testing.ts";
import { modernHeaders } from "../laws/stage.testing.ts";
import { type ContractStage, isProblem, startContract } from "./contract.testing.ts";

const READ = '{ read: { effect: read, allow: ["GET /{path...}"] } }';
const CONFIG = `version: 1
services:
  shop:
    url: UPSTREAM/v1
    description: Things
    environment: production
    private: true
    credential: { kind: bearer, secret: "local:shop" }
    operations:
      items:read: { effect: read, allow: ["GET /items/{id}"], query: { page: { type: integer, minimum: 1 } } }
      items:write: { effect: write, allow: [POST /items], body: { type: object, required: [name], properties: { name: { type: string } }, additionalProperties: false } }
      items:delete: { effect: destructive, allow: ["DELETE /items/{id}"], approval: { message: "Delete" } }
  hidden: { url: UPSTREAM, private: true, operations: ${READ} }
  acme-only: { url: UPSTREAM/v1, private: true, tenant: acme, operations: ${READ} }
  open: { url: UPSTREAM/v1, private: true, operations: ${READ} }
  prod: { url: UPSTREAM/v1, private: true, environment: production, operations: ${READ} }
roles:
  all: { allow: ["shop:*", "acme-only:*", "open:*", "prod:*"] }
  narrow: { allow: ["shop:items:*"], rate: 60/minute }
  child: { extends: [narrow], allow: ["open:read"] }
  one-off: { allow: ["open:*"], rate: 1/minute }
agents:
  bot: { roles: [all], tenant: acme, environment: production, purposes: [testing, support] }
  plain: { roles: [all] }
  child: { roles: [child] }
  far: { roles: [all], networks: [10.0.0.0/8] }
  near: { roles: [all], networks: [127.0.0.0/8] }
  late: { roles: [all], expires: 2030-01-01 }
  gone: { roles: [all], expires: 2020-01-01 }
  never: { roles: [all], hours: "Mon-Sun 00:00-00:01 Etc/GMT+12" }
policies:
  - { id: cel, effect: forbid, on: "open:read", when: 'request.path == "/v1/forbidden" || request.params.path == "forbidden"' }
  - { id: far-away, effect: forbid, on: "open:read", networks: [192.0.2.0/24] }
  - { id: support-only, effect: forbid, on: "shop:items:read", purposes: [support] }
  - { id: ended, effect: forbid, on: "open:*", expires: 2020-01-01 }
  - { id: limited, effect: permit, on: "prod:*", agents: [plain], rate: 1/minute }
`;

describe("contract: tools of Doorward, conditions", () => {
  let stage: ContractStage;
  before(async () => {
    stage = await startContract(CONFIG, { agents: ["bot", "plain", "child", "far", "near", "late", "gone", "never"] });
  });
  after(() => stage[Symbol.asyncDispose]());

  test("tools/list: the contract's tools, with schemas and no x-mcp-header", async () => {
    const meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const headers = modernHeaders(stage.home.key("bot"), "")
      .filter(([name]) => name !== "Mcp-Name")
      .map(([name, value]) => [name, name === "Mcp-Method" ? "tools/list" : value] as const);
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: meta } });
    const answer = await exchangeRaw(stage.daemon.url, requestBytes({ method: "POST", target: "/mcp", headers, body }));
    const text = answer?.body.toString("utf8") ?? "";
    const { result } = JSON.parse(text) as { result: { tools: { name: string; inputSchema: { type: string } }[] } };
    const names = result.tools.map(({ name }) => name);
    for (const name of ["services", "request", "whoami", "explain", "status"])
      assert.ok(names.includes(`doorward_${name}`), name);
    for (const { inputSchema } of result.tools) assert.equal(inputSchema.type, "object");
    assert.ok(!text.includes("x-mcp-header"));
  });

  test("doorward_services → {services: [{name, kind, description, environment, operations: […]}]}, only what the caller may use", async () => {
    const { content } = await stage.tool("bot", "doorward_services");
    const services = content["services"] as { name: string; operations: { scope: string }[] }[];
    assert.deepEqual(services.map(({ name }) => name).toSorted(), ["acme-only", "open", "prod", "shop"]);
    const shop = services.find(({ name }) => name === "shop")! as unknown as Record<string, unknown>;
    assert.deepEqual([shop["kind"], shop["description"], shop["environment"]], ["http", "Things", "production"]);
    const operations = shop["operations"] as Record<string, unknown>[];
    const find = (scope: string) => operations.find((one) => one["scope"] === scope)!;
    assert.deepEqual(
      [find("shop:items:read")["effect"], find("shop:items:read")["approval"], find("shop:items:read")["endpoints"]],
      ["read", "never", ["GET /items/{id}"]],
    );
    assert.equal(find("shop:items:delete")["approval"], "always");
    assert.ok(find("shop:items:write")["input_schema"] !== undefined);
    const child = (await stage.tool("child", "doorward_services")).content["services"] as { name: string }[];
    assert.deepEqual(child.map(({ name }) => name).toSorted(), ["open", "shop"]);
    assert.ok(
      !((await stage.tool("plain", "doorward_services")).content["services"] as { name: string }[]).some(
        ({ name }) => name === "acme-only",
      ),
    );
  });

  test("doorward_whoami → {agent, client, tenant, environment, purposes, token: {kind, expires_at}, limits}", async () => {
    const { content } = await stage.tool("bot", "doorward_whoami");
    assert.deepEqual(
      [content["agent"], content["tenant"], content["environment"], content["purposes"]],
      ["bot", "acme", "production", ["testing", "support"]],
    );
    const { kind, expires_at } = content["token"] as Record<string, string>;
    assert.equal(typeof kind, "string");
    assert.ok(Date.parse(expires_at!) - Date.now() <= 90 * 86_400_000);
    assert.match(String(content["client"]), /^key_/);
    assert.equal(((await stage.tool("child", "doorward_whoami")).content["limits"] as unknown[]).length, 1);
  });

  test("doorward_explain: arguments or a request_id → {decision, rules: [{id, effect, matched, why}], remedy}", async () => {
    const asked = await stage.tool("plain", "doorward_explain", { service: "open", method: "GET", path: "/forbidden" });
    assert.equal(asked.content["decision"], "deny");
    const rules = asked.content["rules"] as { id: string; effect: string; matched: boolean; why: string }[];
    for (const rule of rules) assert.deepEqual(Object.keys(rule).toSorted(), ["effect", "id", "matched", "why"]);
    assert.equal(rules.find(({ id }) => id === "policy:cel")?.matched, true);
    assert.equal(rules.find(({ id }) => id === "role:all")?.matched, true);
    assert.notEqual(asked.content["remedy"], "");
    const refused = await stage.call("/api/open/forbidden", { as: "plain" });
    isProblem(refused, 403, "denied");
    const told = await stage.tool("plain", "doorward_explain", { request_id: refused.json.request_id });
    assert.deepEqual(
      [told.content["decision"], (told.content["rules"] as { id: string }[])[0]?.id],
      ["deny", "policy:cel"],
    );
    assert.equal(
      (await stage.tool("bot", "doorward_explain", { request_id: refused.json.request_id })).error.code,
      "not_found",
    );
    assert.equal(
      (await stage.tool("plain", "doorward_explain", { service: "shop", method: "DELETE", path: "/items/1" })).content[
        "decision"
      ],
      "ask",
    );
    assert.equal(
      (await stage.tool("plain", "doorward_explain", { service: "open", method: "GET", path: "/x" })).content[
        "decision"
      ],
      "permit",
    );
  });

  test("policy explain --json says as doorward_explain; flags for purpose and address", async () => {
    const words = ["policy", "explain", "--agent", "plain", "--service", "open", "--method", "GET", "--path"];
    const denied = await stage.home.json<{
      decision: string;
      rules: { id: string; matched: boolean }[];
      remedy: string;
    }>([...words, "/forbidden"]);
    assert.equal(denied.decision, "deny");
    assert.ok(denied.rules.some(({ id, matched }) => id === "policy:cel" && matched));
    assert.equal((await stage.home.json([...words, "/x?a=1"]))["decision"], "permit");
    assert.equal((await stage.home.json([...words, "/x", "--ip", "192.0.2.7"]))["decision"], "deny");
  });

  test("query and body are held to their JSON Schema", async () => {
    assert.equal((await stage.call("/api/shop/items/1?page=2", { as: "plain" })).status, 200);
    for (const query of ["page=0", "page=x", "page=1&page=2", "other=1"]) {
      const answer = await stage.call(`/api/shop/items/1?${query}`, { as: "plain" });
      assert.ok(answer.status === 403 || answer.status === 400, `${query}: ${answer.status} ${answer.text}`);
    }
    const json = [["Content-Type", "application/json"]] as const;
    assert.equal(
      (await stage.call("/api/shop/items", { as: "plain", method: "POST", headers: json, body: '{"name":"a"}' }))
        .status,
      200,
    );
    for (const body of ['{"name":1}', '{"name":"a","more":1}', "[]"]) {
      const answer = await stage.call("/api/shop/items", { as: "plain", method: "POST", headers: json, body });
      assert.ok(answer.status === 403 || answer.status === 400, `${body}: ${answer.status} ${answer.text}`);
    }
  });

  test("networks, hours and expires of an agent", async () => {
    assert.equal((await stage.call("/api/open/x", { as: "near" })).status, 200);
    assert.equal((await stage.call("/api/open/x", { as: "late" })).status, 200);
    for (const agent of ["far", "never"]) isProblem(await stage.call("/api/open/x", { as: agent }), 403, "denied");
    const gone = await stage.call("/api/open/x", { as: "gone" });
    assert.ok([401, 403].includes(gone.status), gone.text);
  });

  test("purposes: Doorward-Purpose on /api, `purpose` or `_meta` over MCP; one that is not the agent's is denied", async () => {
    const get = (purpose?: string) =>
      stage.call("/api/shop/items/1", { headers: purpose === undefined ? [] : [["Doorward-Purpose", purpose]] });
    assert.equal((await get("testing")).status, 200);
    assert.ok(!JSON.stringify(stage.double.last().headers).includes("testing"));
    const support = await get("support");
    isProblem(support, 403, "denied");
    assert.equal(support.json.rule, "policy:support-only");
    isProblem(await get("mischief"), 403, "denied");
    const tool = (purpose: string) =>
      stage.tool("bot", "doorward_request", { service: "shop", method: "GET", path: "/items/1", purpose });
    assert.equal((await tool("testing")).isError, false);
    assert.equal((await tool("support")).error.code, "denied");
    const meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": {},
      "doorward/purpose": "support",
    };
    const params = {
      name: "doorward_request",
      arguments: { service: "shop", method: "GET", path: "/items/1" },
      _meta: meta,
    };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
    const viaMeta = await exchangeRaw(
      stage.daemon.url,
      requestBytes({
        method: "POST",
        target: "/mcp",
        headers: modernHeaders(stage.home.key("bot"), "doorward_request"),
        body,
      }),
    );
    assert.match(viaMeta?.body.toString("utf8") ?? "", /policy:support-only/);
    const decided = stage.eventsOf(support.json.request_id).find(({ type }) => type === "call.decided");
    assert.equal(decided?.["purpose"], "support");
  });

  test("a policy that has expired does not hold any more; one for another network does not match", async () => {
    assert.equal((await stage.call("/api/open/x", { as: "plain" })).status, 200);
  });

  test("a tenant's service is for the agents of that tenant; an agent of several purposes states one", async () => {
    assert.equal((await stage.call("/api/acme-only/x", { headers: [["Doorward-Purpose", "testing"]] })).status, 200);
    isProblem(await stage.call("/api/acme-only/x"), 403, "denied");
    isProblem(await stage.call("/api/acme-only/x", { as: "plain" }), 404, "unknown_service");
  });
});
