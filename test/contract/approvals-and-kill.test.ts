import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { until } from "../harness/daemon.testing.ts";
import { exchangeRaw, requestBytes } from "../laws/raw-http.testing.ts";
import { type Answer, type ContractStage, isProblem, readable, startContract } from "./contract.testing.ts";

const CONFIG = `version: 1
services:
  shop:
    url: UPSTREAM/v1
    private: true
    credential: { kind: bearer, secret: "local:shop" }
    operations:
      items:read: { effect: read, allow: ["GET /{path...}"] }
      items:delete:
        effect: destructive
        allow: ["DELETE /items/{id}"]
        approval: { message: "Delete {path.id}, {preview.total} left", preview: "GET /items/{path.id}", expires: 20m }
      brief: { effect: write, allow: ["PUT /brief/{id}"], approval: { message: "Brief", expires: 1s } }
  other: { url: UPSTREAM/v1, private: true, tenant: acme, operations: { read: { effect: read, allow: ["GET /{path...}"] }, delete: { effect: destructive, allow: ["DELETE /{path...}"] } } }
roles:
  all: { allow: ["*"] }
agents:
  bot: { roles: [all], tenant: acme }
  two: { roles: [all] }
policies:
  - { id: ask-first, effect: ask, on: "other:delete", approvers: { quorum: 1, expires: 10m } }
`;

describe("contract: approvals and kills", () => {
  let stage: ContractStage;
  before(async () => {
    stage = await startContract(CONFIG, { agents: ["bot", "two"] });
  });
  after(() => stage[Symbol.asyncDispose]());

  const remove = (path: string, options: Parameters<ContractStage["call"]>[1] = {}) =>
    stage.call(`/api/shop/items/${path}`, { method: "DELETE", ...options });
  const hold = async (path: string): Promise<Answer> => {
    const held = await remove(path);
    isProblem(held, 403, "approval_required");
    return held;
  };
  const deletes = (path: string) =>
    stage.double.received.filter(({ method, url }) => method === "DELETE" && url === `/v1/items/${path}`).length;

  test("approvals list --json → {id, agent, service, operation, message, preview, digest, status, expires_at}", async () => {
    const held = await hold("a");
    const list = await stage.home.json<Record<string, unknown>[]>(["approvals", "list"]);
    const one = list.find(({ id }) => id === held.json.approval_id)!;
    assert.deepEqual(
      [one["agent"], one["service"], one["operation"], one["status"]],
      ["bot", "shop", "items:delete", "pending"],
    );
    assert.equal(one["message"], "Delete a, 3 left");
    assert.match(String(one["digest"]), /^[0-9a-f]{64}$/);
    assert.ok(JSON.stringify(one["preview"]).includes("total"));
    assert.equal(one["expires_at"], held.json.expires_at);
    assert.ok(Date.parse(String(one["expires_at"])) - Date.now() > 19 * 60_000);
  });

  test("the same call after approval runs once; a repetition has its own request id and names the approval it uses", async () => {
    const held = await hold("b");
    const id = held.json.approval_id as string;
    const again = await remove("b");
    isProblem(again, 403, "approval_required");
    assert.equal(again.json.approval_id, id);
    assert.equal((await stage.home.json(["approvals", "approve", id, "--once", "--why", "fine"]))["status"], "granted");
    const ran = await remove("b", {
      headers: [
        ["X-Request-Id", "other"],
        ["Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
      ],
    });
    assert.equal(ran.status, 200, ran.text);
    const events = stage.eventsOf(ran.headers.get("doorward-request-id")!);
    assert.notEqual(ran.headers.get("doorward-request-id"), held.json.request_id);
    assert.deepEqual(events.map(({ type }) => type).toSorted(), ["approval.used", "call.completed", "call.decided"]);
    assert.equal(events.find(({ type }) => type === "call.decided")?.["approval_id"], id);
    isProblem(await remove("b"), 403, "approval_required");
    assert.equal(deletes("b"), 1);
  });

  test("another query, body, header or agent is another call", async () => {
    const held = await hold("c");
    await stage.home.json(["approvals", "approve", held.json.approval_id]);
    isProblem(await remove("c?x=1"), 403, "approval_required");
    isProblem(await remove("c", { headers: [["Idempotency-Key", "k"]] }), 403, "approval_required");
    isProblem(
      await remove("c", { headers: [["Content-Type", "application/json"]], body: "{}" }),
      403,
      "approval_required",
    );
    isProblem(await remove("c", { as: "two" }), 403, "approval_required");
    assert.equal((await remove("c")).status, 200);
  });

  test("denied: told once, then asked anew", async () => {
    const held = await hold("d");
    const denied = await stage.home.json(["approvals", "deny", held.json.approval_id, "--why", "not today"]);
    assert.equal(denied["status"], "denied");
    const told = await remove("d");
    isProblem(told, 403, "approval_denied");
    for (const field of ["approval_id", "approval_url", "expires_at"]) assert.equal(typeof told.json[field], "string");
    const anew = await hold("d");
    assert.notEqual(anew.json.approval_id, held.json.approval_id);
  });

  test("expired: told once, then asked anew", async () => {
    const put = () => stage.call("/api/shop/brief/1", { method: "PUT" });
    const held = await put();
    isProblem(held, 403, "approval_required");
    const told = await until(put, ({ json }) => json.code !== "approval_required");
    isProblem(told, 403, "approval_expired");
    assert.equal(told.json.approval_id, held.json.approval_id);
    const anew = await put();
    isProblem(anew, 403, "approval_required");
    assert.notEqual(anew.json.approval_id, held.json.approval_id);
    assert.ok(
      stage
        .evidence()
        .some(({ type, approval_id }) => type === "approval.expired" && approval_id === held.json.approval_id),
    );
  });

  test("approve --for 10m: the same call within the window", async () => {
    const held = await hold("e");
    await stage.home.json(["approvals", "approve", held.json.approval_id, "--for", "10m"]);
    for (let i = 0; i < 3; i++) assert.equal((await remove("e")).status, 200);
    assert.equal(deletes("e"), 3);
  });

  test("an ask policy holds an operation without a message of its own; doorward_status tells how it stands", async () => {
    const held = await stage.tool("bot", "doorward_request", { service: "other", method: "DELETE", path: "/x" });
    assert.equal(held.error.code, "approval_required");
    const id = held.error["approval_id"] as string;
    const pending = await stage.tool("bot", "doorward_status", { id });
    assert.equal(pending.content["status"], "pending");
    assert.equal((await stage.tool("two", "doorward_status", { id })).error.code, "not_found");
    const waiting = stage.tool("bot", "doorward_status", { id, wait_seconds: 30 });
    await stage.home.json(["approvals", "approve", id]);
    assert.equal((await waiting).content["status"], "granted");
    assert.equal(
      (await stage.tool("bot", "doorward_request", { service: "other", method: "DELETE", path: "/x" })).isError,
      false,
    );
  });

  test("an approval counts through either door, for it is the same call", async () => {
    const held = await hold("f");
    await stage.home.json(["approvals", "approve", held.json.approval_id]);
    const ran = await stage.tool("bot", "doorward_request", { service: "shop", method: "DELETE", path: "/items/f" });
    assert.equal(ran.isError, false, JSON.stringify(ran.error));
  });

  test("an unknown approval: exit 1; `deny` needs --why", async () => {
    assert.equal((await stage.home.cli(["approvals", "approve", "apr_nope"])).status, 1);
    assert.equal((await stage.home.cli(["approvals", "deny", "apr_nope"])).status, 2);
  });

  const key = () => stage.home.json<{ name: string; keys: { key_id: string }[] }>(["agent", "show", "bot"]);
  const targets: Readonly<Record<string, () => string | Promise<string>>> = {
    agent: () => "agent:bot",
    service: () => "service:shop",
    secret: () => "secret:shop",
    tenant: () => "tenant:acme",
    operation: () => "operation:shop:items:read",
    client: async () => `client:${(await key()).keys[0]!.key_id}`,
    all: () => "all",
  };
  for (const [kind, target] of Object.entries(targets)) {
    test(`kill ${kind}: in force at once, names target and who; lifted, the same key works`, async () => {
      const name = await target();
      assert.equal((await stage.call("/api/shop/items")).status, 200);
      const killed = await stage.home.json(["kill", name, "--why", "test"]);
      assert.equal(killed["target"], name);
      assert.ok(!Number.isNaN(Date.parse(String(killed["at"]))));
      for (const field of ["effective_ms", "streams_cut", "children_ended", "leases_revoked", "tokens_revoked"]) {
        assert.equal(typeof killed[field], "number", field);
      }
      assert.ok(Number(killed["effective_ms"]) < 1_000);
      const refused = await stage.call("/api/shop/items");
      isProblem(refused, 403, "killed");
      assert.equal(refused.json.rule, `kill:${name}`);
      assert.ok(refused.json.detail.includes(name));
      assert.match(refused.json.detail, /by \S+/);
      const [event] = stage.eventsOf(refused.json.request_id);
      assert.deepEqual([event?.decision, event?.code, event?.["rules"]], ["deny", "killed", [`kill:${name}`]]);
      const resumed = await stage.home.json(["resume", name, "--why", "fine"]);
      assert.equal(resumed["target"], name);
      assert.equal((await stage.call("/api/shop/items")).status, 200);
    });
  }

  test("a kill that came since an approval wins, and does not use it up", async () => {
    const held = await hold("g");
    await stage.home.json(["approvals", "approve", held.json.approval_id]);
    await stage.home.json(["kill", "operation:shop:items:delete", "--why", "test"]);
    isProblem(await remove("g"), 403, "killed");
    await stage.home.json(["resume", "operation:shop:items:delete", "--why", "test"]);
    assert.equal((await remove("g")).status, 200);
    assert.equal(deletes("g"), 1);
  });

  test("kill cuts a running stream", async () => {
    const bytes = requestBytes({
      target: "/api/shop/trickle",
      headers: [["Authorization", `Bearer ${stage.home.key("bot")}`]],
    });
    const running = exchangeRaw(stage.daemon.url, bytes);
    await until(
      () => stage.double.received.some(({ url }) => url === "/v1/trickle"),
      (seen) => seen,
    );
    await until(
      () => stage.home.json(["status"]),
      (status) => status["calls_under_way"] === 1,
    );
    const killed = await stage.home.json(["kill", "agent:bot", "--why", "test"]);
    assert.equal(killed["streams_cut"], 1);
    const cut = readable(await running);
    assert.ok(!cut.wire.subarray(-5).equals(Buffer.from("0\r\n\r\n")));
    await stage.home.json(["resume", "agent:bot", "--why", "test"]);
    const [, completed] = await until(
      () => stage.eventsOf(cut.headers.get("doorward-request-id")!),
      ({ length }) => length === 2,
    );
    assert.equal(completed?.code, "killed");
  });

  test("a target that is none, `kill` without --why, `resume` of what is not killed", async () => {
    assert.equal((await stage.home.cli(["kill", "nonsense", "--why", "x"])).status, 2);
    assert.equal((await stage.home.cli(["kill", "planet:earth", "--why", "x"])).status, 2);
    assert.equal((await stage.home.cli(["kill", "all"])).status, 2);
    assert.notEqual((await stage.home.cli(["resume", "all", "--why", "x"])).status, 0);
  });

  test("the admin API answers an agent's key with 404", async () => {
    const socket = join(stage.home.home, "doorward.sock");
    const ask = (bearer: string, action = "status") =>
      exchangeRaw(
        socket,
        requestBytes({
          method: "POST",
          target: `/admin/v1/${action}`,
          headers: [["Authorization", `Bearer ${bearer}`]],
          body: "{}",
          host: "doorward",
        }),
      );
    for (const action of ["status", "approvals.approve", "nothing"])
      isProblem(readable(await ask(stage.home.key("bot"), action)), 404, "not_found");
    assert.equal((await ask(readFileSync(join(stage.home.home, "owner.key"), "utf8").trim()))?.status, 200);
  });

  test("events of approvals and kills have the contract's types; each approval event says the assurance level", async () => {
    const events = stage.evidence();
    for (const type of [
      "approval.requested",
      "approval.granted",
      "approval.denied",
      "approval.expired",
      "approval.used",
      "kill.set",
      "kill.lifted",
    ]) {
      assert.ok(
        events.some((event) => event.type === type),
        type,
      );
    }
    for (const event of events.filter(({ type }) => type.startsWith("approval.")))
      assert.equal(event["assurance"], 0, JSON.stringify(event));
  });
});
