/**
 * The law of approvals: one approval, one run, however many repeat the call at once and through whichever door;
 * and what was decided since wins over what was approved.
 */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { makeHome, type TestDaemon, type TestHome, until } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";
import { exchangeRaw, problemOf, requestBytes } from "./raw-http.testing.ts";
import { administer, callTool, readEvidence, startStage } from "./stage.testing.ts";

const ROUNDS = 4;
const REPEATS = 100;

const config = (url: string, more = "") => `version: 1
services:
  api:
    url: ${url}
    private: true
    credential: { kind: bearer, secret: "local:api" }
    operations:
      items:delete: { effect: destructive, allow: ["DELETE /items/{id}"], approval: { message: "Delete {path.id}" } }
roles: { editor: { allow: ["api:*"] } }
agents: { bot: { roles: [editor] }, other: { roles: [editor] } }
${more}`;

let home: TestHome;
let daemon: TestDaemon;
let upstream: Double;
let item = 0;

before(async () => {
  upstream = await startDouble((_, response) => replyJson(response, 200, { deleted: true }));
  home = await makeHome({
    config: config(upstream.url),
    secrets: { api: "rk_live_approval_law" },
    agents: ["bot", "other"],
  });
  daemon = await startStage(home);
});
after(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
  home?.[Symbol.dispose]();
});
beforeEach(() => {
  item += 1;
});

const hits = () => upstream.received.filter(({ url }) => url === `/items/${item}`).length;

/** The code of the refusal; `ran` when the call went. */
async function repeat(door: "api" | "mcp", agent = "bot"): Promise<string> {
  const key = home.key(agent);
  if (door === "mcp") {
    const { isError, error } = await callTool(daemon.url, key, "doorward_request", {
      service: "api",
      method: "DELETE",
      path: `/items/${item}`,
    });
    return isError ? String(error.code) : "ran";
  }
  const headers = [["Authorization", `Bearer ${key}`]] as const;
  const answer = await exchangeRaw(
    daemon.url,
    requestBytes({ method: "DELETE", target: `/api/api/items/${item}`, headers }),
  );
  return answer?.status === 200 ? "ran" : String(problemOf(answer).code);
}

async function holdAndApprove(): Promise<string> {
  assert.equal(await repeat("mcp"), "approval_required");
  const { approvals } = await administer<{ approvals: { id: string; status: string; message: string }[] }>(
    home,
    "approvals.list",
  );
  const { id } = approvals.find(({ status, message }) => status === "pending" && message === `Delete ${item}`)!;
  await administer(home, "approvals.approve", { id, why: "law" });
  return id;
}

describe("an approval", { timeout: 120_000 }, () => {
  for (let round = 1; round <= ROUNDS; round++) {
    test(`lets one of ${REPEATS} repeats at once through, round ${round}`, async () => {
      const id = await holdAndApprove();
      const answers = await Promise.all(
        Array.from({ length: REPEATS }, (_, at) => repeat(at % 2 === 0 ? "api" : "mcp")),
      );
      assert.equal(hits(), 1);
      assert.equal(answers.filter((answer) => answer === "ran").length, 1);
      assert.deepEqual(
        [...new Set(answers)].filter((answer) => !["ran", "approval_required", "rate_limited"].includes(answer)),
        [],
      );
      const used = readEvidence(home.home).filter(
        ({ type, approval_id }) => type === "approval.used" && approval_id === id,
      );
      assert.equal(used.length, 1);
    });
  }

  test("is of no use to another agent", async () => {
    await holdAndApprove();
    assert.equal(await repeat("mcp", "other"), "approval_required");
    assert.equal(await repeat("api", "other"), "approval_required");
    assert.equal(hits(), 0);
    assert.equal(await repeat("api"), "ran");
  });

  test("does not help against a kill that came since", async () => {
    await holdAndApprove();
    await administer(home, "kill.set", { target: "agent:bot", why: "law" });
    assert.equal(await repeat("api"), "killed");
    assert.equal(await repeat("mcp"), "killed");
    assert.equal(hits(), 0);
    await administer(home, "kill.lift", { target: "agent:bot", why: "law" });
    assert.equal(await repeat("mcp"), "ran");
    assert.equal(hits(), 1);
  });

  test("does not help against a forbid that came since", async () => {
    await holdAndApprove();
    await rule("policies:\n  - { id: stop, effect: forbid, on: '*' }\n");
    assert.equal(await repeat("api"), "denied");
    assert.equal(await repeat("mcp"), "denied");
    assert.equal(hits(), 0);
    await rule("");
  });

  test("does not cover an operation that means something else now", async () => {
    await holdAndApprove();
    const before = await snapshot();
    home.writeConfig(config(upstream.url).replace('"DELETE /items/{id}"]', '"DELETE /items/{id}", "PUT /items/{id}"]'));
    await until(snapshot, (now) => now !== before);
    assert.equal(await repeat("api"), "approval_required");
    assert.equal(hits(), 0);
    await rule("");
  });

  test("leaves evidence that verifies", async () => {
    const { ok } = await home.json<{ ok: boolean }>(["audit", "verify"]);
    assert.equal(ok, true);
  });
});

async function snapshot(): Promise<string> {
  const { rules } = await administer<{ rules: { snapshot: string } }>(home, "status");
  return rules.snapshot;
}

async function rule(more: string): Promise<void> {
  const before = await snapshot();
  home.writeConfig(config(upstream.url, more));
  await until(snapshot, (now) => now !== before);
}
