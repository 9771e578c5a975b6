/** What a token was issued for (`authorization_details`) holds for each of its calls, whichever door it comes through. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { JsonObject } from "../../src/base/json.ts";
import { modern } from "../../src/mcp/http-endpoint.testing.ts";
import { makeHome, startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";
import { readEvidence } from "../laws/stage.testing.ts";

const CONFIG = `version: 1
services:
  shop:
    url: UPSTREAM
    private: true
    operations:
      items:read: { effect: read, allow: [GET /items] }
      items:drop: { effect: destructive, allow: [DELETE /items] }
roles: { looker: { allow: ["shop:items:read"] }, clerk: { allow: ["shop:*"] } }
agents: { bot: { roles: [looker, clerk], tenant: acme, purposes: [stock, billing] } }
`;

interface Client {
  readonly client_id: string;
  readonly client_secret: string;
}

describe("the context of a token", () => {
  const stack = new AsyncDisposableStack();
  let upstream: Double;
  let home: TestHome;
  let daemon: TestDaemon;
  let client: Client;

  before(async () => {
    upstream = stack.use(await startDouble((_, response) => replyJson(response, 200, { ok: true })));
    home = stack.use(await makeHome({ config: CONFIG.replace("UPSTREAM", upstream.url) }));
    daemon = stack.use(await startDaemon(home));
    client = await home.json<Client & Record<string, unknown>>(["agent", "client", "bot"]);
  });
  after(() => stack.disposeAsync());

  async function tokenFor(resource: "/mcp" | "/api", details: object): Promise<string> {
    const { client_id, client_secret } = client;
    const response = await fetch(`${daemon.url}/oauth/token`, {
      method: "POST",
      headers: { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString("base64")}` },
      body: new URLSearchParams({
        grant_type: "client_credentials",
        resource: daemon.url + resource,
        authorization_details: JSON.stringify([{ type: "doorward", ...details }]),
      }),
    });
    const body = (await response.json()) as { access_token: string };
    assert.equal(response.status, 200, JSON.stringify(body));
    return body.access_token;
  }

  /** The code of the refusal, or `ran`. */
  async function read(token: string, headers: Record<string, string> = {}, method = "GET"): Promise<string> {
    const response = await fetch(`${daemon.url}/api/shop/items`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
    });
    const body = (await response.json()) as { code?: string };
    return response.status === 200 ? "ran" : String(body.code);
  }

  async function callTool(token: string, args: JsonObject, meta: JsonObject, headers: Record<string, string> = {}) {
    const call = { service: "shop", method: "GET", path: "/items", ...args };
    const { isError, structuredContent } = await toolResult(token, "doorward_request", call, meta, headers);
    return isError === true ? String((structuredContent["error"] as { code?: string }).code) : "ran";
  }

  async function toolResult(
    token: string,
    name: string,
    args: JsonObject,
    meta: JsonObject = {},
    more: Record<string, string> = {},
  ) {
    const { message, headers } = modern("tools/call", { name, arguments: args }, meta);
    const response = await fetch(`${daemon.url}/mcp`, {
      method: "POST",
      headers: { ...headers, authorization: `Bearer ${token}`, ...more },
      body: JSON.stringify({ jsonrpc: "2.0", ...message }),
    });
    const { result } = (await response.json()) as {
      result: { isError?: boolean; structuredContent: Record<string, unknown> };
    };
    return result;
  }

  test("stands for a call that says nothing, and a call that says something else is refused: /api", async () => {
    const token = await tokenFor("/api", { purpose: "stock", task: "T-1", tenant: "acme", role: "looker" });
    assert.equal(await read(token), "ran");
    const same = { "doorward-purpose": "stock", "doorward-task": "T-1", "doorward-tenant": "acme" };
    assert.equal(await read(token, { ...same, "doorward-role": "looker" }), "ran");
    const hits = upstream.received.length;
    for (const [part, other] of [
      ["purpose", "billing"],
      ["task", "T-2"],
      ["tenant", "globex"],
      ["role", "clerk"],
    ]) {
      assert.equal(await read(token, { [`doorward-${part}`]: other! }), "denied", part);
    }
    assert.equal(await read(token, {}, "DELETE"), "denied", "the role that it was issued for does not drop");
    assert.equal(upstream.received.length, hits);
    const decided = readEvidence(home.home).filter(({ type }) => type === "call.decided");
    assert.equal(decided.filter(({ decision }) => decision === "deny").length, 5);
    const ran = decided.find(({ decision }) => decision === "permit");
    assert.deepEqual([ran?.["purpose"], ran?.["task"], ran?.["role"]], ["stock", "T-1", "looker"]);
  });

  test("the same on /mcp, whether stated in a header, in `_meta` or as an argument", async () => {
    const token = await tokenFor("/mcp", { purpose: "stock", task: "T-1", tenant: "acme", role: "looker" });
    assert.equal(await callTool(token, {}, {}), "ran");
    assert.equal(await callTool(token, { purpose: "stock" }, { "doorward/role": "looker" }), "ran");
    assert.equal(await callTool(token, { purpose: "billing" }, {}), "denied");
    for (const [part, other] of [
      ["purpose", "billing"],
      ["task", "T-2"],
      ["tenant", "globex"],
      ["role", "clerk"],
    ]) {
      assert.equal(await callTool(token, {}, { [`doorward/${part}`]: other! }), "denied", `_meta ${part}`);
      assert.equal(await callTool(token, {}, {}, { [`doorward-${part}`]: other! }), "denied", `header ${part}`);
    }
  });

  test("is what doorward_whoami says", async () => {
    const { structuredContent } = await toolResult(await tokenFor("/mcp", { purpose: "stock" }), "doorward_whoami", {});
    assert.deepEqual(structuredContent["context"], { purpose: "stock" });
  });

  test("a token for another tenant, role or purpose than its agent's opens nothing", async () => {
    for (const details of [{ tenant: "globex" }, { role: "admin" }, { purpose: "spam" }]) {
      const token = await tokenFor("/api", { purpose: "stock", ...details });
      assert.equal(await read(token), "denied", JSON.stringify(details));
    }
  });
});
