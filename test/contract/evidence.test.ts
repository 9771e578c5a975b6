import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../harness/run.testing.ts";
import { evidenceText } from "../laws/stage.testing.ts";
import { type ContractStage, startContract } from "./contract.testing.ts";

const CONFIG = `version: 1
services:
  shop:
    url: UPSTREAM/v1
    private: true
    credential: { kind: bearer, secret: "local:shop" }
    operations:
      items:read: { effect: read, allow: [GET /items] }
      one: { effect: read, allow: [GET /both] }
      two: { effect: write, allow: [GET /both] }
      held: { effect: destructive, allow: [DELETE /items], approval: { message: "Delete" } }
      post: { effect: write, allow: [POST /items] }
roles: { all: { allow: ["*"] } }
agents: { bot: { roles: [all], tenant: acme } }
policies: [{ id: never, effect: forbid, on: "shop:post", when: 'request.query.no == "1"' }]
`;
const FIRST_KEYS = [
  "v",
  "seq",
  "at",
  "node",
  "type",
  "request_id",
  "agent",
  "tenant",
  "user",
  "service",
  "operation",
  "decision",
  "rules",
  "code",
];

describe("contract: evidence", () => {
  let stage: ContractStage;
  const ids: Record<string, string> = {};
  before(async () => {
    stage = await startContract(CONFIG, { agents: ["bot"] });
    const call = async (name: string, path: string, method = "GET") => {
      const answer = await stage.call(path, {
        method,
        ...(method === "POST" ? { body: "top-secret-body", headers: [["Content-Type", "text/plain"]] as const } : {}),
      });
      ids[name] = answer.headers.get("doorward-request-id")!;
    };
    await call("permitted", "/api/shop/items?card=4111-1111");
    await call("several", "/api/shop/both");
    await call("held", "/api/shop/items", "DELETE");
    await call("denied", "/api/shop/items?no=1", "POST");
    await call("posted", "/api/shop/items?no=0", "POST");
    await call("unknown", "/api/nothing/x");
  });
  after(() => stage[Symbol.asyncDispose]());

  test("keys in this order first, then data, then `prev`, `hash`; no white space, absent values null", () => {
    for (const line of evidenceText(stage.home.home).trim().split("\n")) {
      const event = JSON.parse(line) as Record<string, unknown>;
      const keys = Object.keys(event);
      assert.deepEqual(keys.slice(0, FIRST_KEYS.length), FIRST_KEYS);
      assert.deepEqual(keys.slice(-2), ["prev", "hash"]);
      assert.equal(JSON.stringify(event), line);
      for (const field of ["request_id", "agent", "tenant", "user", "service", "operation", "decision", "code"]) {
        assert.ok(event[field] === null || typeof event[field] === "string", `${field} of ${line}`);
      }
      assert.match(String(event["at"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
  });

  test('`hash`: SHA-256 over the line up to the final `,"hash":`; the first `prev` is 64 zeros', () => {
    let prev = "0".repeat(64);
    let seq: number | undefined;
    for (const line of evidenceText(stage.home.home).trim().split("\n")) {
      const event = JSON.parse(line) as { seq: number; prev: string; hash: string };
      assert.equal(event.prev, prev);
      if (seq !== undefined) assert.equal(event.seq, seq + 1);
      const covered = line.slice(0, line.lastIndexOf(',"hash":'));
      assert.equal(createHash("sha256").update(covered).digest("hex"), event.hash);
      ({ seq, hash: prev } = event);
    }
  });

  test("a permitted call has call.decided, then call.completed; a denied or held one has one", () => {
    const types = (name: string) =>
      stage
        .eventsOf(ids[name]!)
        .filter(({ type }) => type.startsWith("call."))
        .map(({ type }) => type);
    assert.deepEqual(types("permitted"), ["call.decided", "call.completed"]);
    for (const name of ["held", "denied", "unknown"]) assert.deepEqual(types(name), ["call.decided"], name);
    const decision = (name: string) => stage.eventsOf(ids[name]!).find(({ type }) => type === "call.decided")!;
    assert.deepEqual(
      [decision("permitted").decision, decision("permitted").code, decision("permitted")["rules"]],
      ["permit", null, ["role:all"]],
    );
    assert.deepEqual([decision("held").decision, decision("held").code], ["ask", "approval_required"]);
    assert.deepEqual(
      [decision("denied").decision, decision("denied").code, decision("denied")["rules"]],
      ["deny", "denied", ["policy:never"]],
    );
    assert.deepEqual([decision("unknown").decision, decision("unknown").code], ["deny", "unknown_service"]);
  });

  test("`operation` within the service, `scope` service:operation; several: null and `scopes`", () => {
    for (const event of stage.eventsOf(ids["permitted"]!)) {
      assert.deepEqual(
        [event["agent"], event["tenant"], event["service"], event["operation"], event["scope"]],
        ["bot", "acme", "shop", "items:read", "shop:items:read"],
      );
    }
    for (const event of stage.eventsOf(ids["several"]!)) {
      assert.equal(event["operation"], null);
      assert.deepEqual(event["scopes"], ["shop:one", "shop:two"]);
    }
  });

  test("sensitive inputs appear as keyed digests (`hmac:…`) and sizes", () => {
    const text = evidenceText(stage.home.home);
    for (const value of ["4111-1111", "top-secret-body", stage.home.key("bot")])
      assert.ok(!text.includes(value), value);
    assert.match(JSON.stringify(stage.eventsOf(ids["permitted"]!)), /hmac:/);
    const [posted] = stage.eventsOf(ids["posted"]!);
    assert.match(String(posted?.["body"]), /^hmac:/);
    assert.equal(posted?.["body_bytes"], 15);
  });

  test("audit search [--request] [--agent] [--service] [--since] [--type] --json: one event per line", async () => {
    const search = async (...args: string[]) => {
      const { status, stdout } = await stage.home.cli(["audit", "search", ...args, "--json"]);
      assert.equal(status, 0);
      return stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as { type: string; request_id: string });
    };
    assert.equal((await search("--request", ids["permitted"]!)).length, 2);
    assert.ok(
      (await search("--agent", "bot", "--service", "shop", "--since", "1h", "--type", "call.completed")).length >= 3,
    );
    assert.deepEqual(await search("--agent", "nobody"), []);
    assert.ok((await search("--since", new Date(Date.now() - 60_000).toISOString())).length > 0);
    for (const type of ["secret.set", "config.loaded", "node.started"])
      assert.equal((await search("--type", type)).length > 0, true, type);
    assert.equal((await stage.home.cli(["audit", "search", "--since", "whenever"])).status, 2);
  });

  test("audit verify: {ok, events, checkpoints, findings}, exit 0 or 4; DIR is audit/ or one audit/NODE; key: unpinned", async () => {
    const kept = join(stage.home.folder, "kept.txt");
    const { status } = await stage.home.cli(["audit", "checkpoint", "--out", kept]);
    assert.equal(status, 0);
    const live = await stage.home.json(["audit", "verify"]);
    assert.deepEqual([live["ok"], live["findings"], live["key"]], [true, [], "unpinned"]);
    assert.equal(typeof live["events"], "number");
    assert.equal(typeof live["checkpoints"], "number");
    const copy = join(stage.home.folder, "copy");
    cpSync(join(stage.home.home, "audit"), copy, { recursive: true });
    const [node = ""] = readdirSync(copy);
    for (const dir of [copy, join(copy, node)]) {
      const ran = await stage.home.cli([
        "audit",
        "verify",
        dir,
        "--checkpoint",
        kept,
        "--public-key",
        join(copy, node, "key.pub"),
        "--json",
      ]);
      assert.equal(ran.status, 0, ran.stdout);
      assert.notEqual((JSON.parse(ran.stdout) as { key: string }).key, "unpinned");
    }
    const independent = await run(process.execPath, [
      join(import.meta.dirname, "../../docs/verify/verify.mjs"),
      join(copy, node),
      kept,
    ]);
    assert.equal(independent.status, 0, independent.stdout + independent.stderr);

    const segment = join(copy, node, readdirSync(join(copy, node)).find((name) => name.endsWith(".jsonl"))!);
    const lines = readFileSync(segment, "utf8").split("\n");
    writeFileSync(segment, lines.map((line, i) => (i === 3 ? line.replace('"v":1', '"v":2') : line)).join("\n"));
    const edited = await stage.home.cli(["audit", "verify", copy, "--json"]);
    assert.equal(edited.status, 4);
    const { ok, findings } = JSON.parse(edited.stdout) as {
      ok: boolean;
      findings: { segment: string; seq: number; problem: string }[];
    };
    assert.equal(ok, false);
    assert.deepEqual(Object.keys(findings[0]!).toSorted(), ["problem", "segment", "seq"]);
    writeFileSync(segment, `${lines.slice(0, 4).join("\n")}\n`);
    assert.equal((await stage.home.cli(["audit", "verify", copy, "--checkpoint", kept, "--json"])).status, 4);
    assert.equal(
      (await run(process.execPath, [join(import.meta.dirname, "../../docs/verify/verify.mjs"), join(copy, node), kept]))
        .status,
      4,
    );
  });

  test("segments are <home>/audit/<node>/NNNNNN.jsonl, the node's key beside them", () => {
    const [node = ""] = readdirSync(join(stage.home.home, "audit"));
    const files = readdirSync(join(stage.home.home, "audit", node));
    assert.ok(files.includes("key.pub"));
    assert.ok(files.includes("000001.jsonl"), files.join(" "));
  });
});
