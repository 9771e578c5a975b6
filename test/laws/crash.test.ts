/**
 * The law of the crash: killed at any moment under load, the daemon comes back with nothing unrecorded, nothing half
 * written, no approval used twice, and everything that it had acknowledged still so.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { verifyAudit } from "../../src/audit/verify-audit.ts";
import { makeHome, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type Double, replyJson, startDouble } from "../harness/double.testing.ts";
import { exchangeRaw, requestBytes } from "./raw-http.testing.ts";
import { administer, callTool, readEvidence, startStage } from "./stage.testing.ts";

const ROUNDS = Number(process.env["CRASH_ROUNDS"] ?? 100);
/** The load of a round lasts up to this long before it is cut. */
const LOAD_MS = 300;
/** The whole chain is read again after so many rounds. */
const VERIFY_EVERY = 20;

const config = (url: string) => `version: 1
services:
  api:
    url: ${url}
    private: true
    credential: { kind: bearer, secret: "local:api" }
    operations:
      items:read: { effect: read, allow: ["GET /items/{id}"] }
      items:delete: { effect: destructive, allow: ["DELETE /items/{id}"], approval: { message: "Delete {path.id}" } }
roles: { editor: { allow: ["api:*"] } }
agents: { bot: { roles: [editor] } }
`;

/** What the daemon has acknowledged, over all its lives. */
interface Acknowledged {
  readonly calls: Set<string>;
  /** Targets of kills: whether in force. Absent while an order for it is under way, or was when the daemon died. */
  readonly kills: Map<string, boolean>;
  readonly secrets: Set<string>;
  readonly approvals: Set<string>;
}

interface Load {
  readonly home: TestHome;
  readonly url: string;
  readonly key: string;
  readonly acknowledged: Acknowledged;
  /** Gives each call a path of its own. */
  readonly next: () => string;
  readonly over: () => boolean;
}

/** Repeats a step until the round is over; a step that fails because the daemon is gone ends it. */
async function repeatedly(load: Load, step: () => Promise<unknown>): Promise<void> {
  while (!load.over()) {
    try {
      await step();
    } catch (error) {
      assert.equal((error as Error).message, "no_answer", String((error as Error).stack));
      return;
    }
  }
}

async function call(load: Load, method: string, path: string): Promise<number | undefined> {
  const headers = [["Authorization", `Bearer ${load.key}`]] as const;
  const answer = await exchangeRaw(load.url, requestBytes({ method, target: `/api/api${path}`, headers }));
  const whole = answer !== undefined && answer.body.length === Number(answer.headers.get("content-length"));
  if (whole && answer.status === 200) load.acknowledged.calls.add(answer.headers.get("doorward-request-id")!);
  if (answer === undefined) throw new Error("no_answer");
  return answer.status;
}

async function callOverMcp(load: Load): Promise<void> {
  const answer = await callTool(load.url, load.key, "doorward_request", {
    service: "api",
    method: "GET",
    path: `/items/${load.next()}`,
  }).catch(() => undefined);
  if (answer?.http === undefined) throw new Error("no_answer");
  if (answer.content["status"] === 200) load.acknowledged.calls.add(String(answer.content["request_id"]));
}

async function holdApproveRepeat(load: Load): Promise<void> {
  const id = load.next();
  const path = `/items/${id}`;
  if ((await call(load, "DELETE", path)) !== 403) return;
  const { approvals } = await administer<{ approvals: { id: string; message: string }[] }>(
    load.home,
    "approvals.list",
    { status: "pending" },
  );
  const found = approvals.find(({ message }) => message === `Delete ${id}`);
  if (found === undefined) return;
  await administer(load.home, "approvals.approve", { id: found.id });
  load.acknowledged.approvals.add(found.id);
  await Promise.all([call(load, "DELETE", path), call(load, "DELETE", path), call(load, "DELETE", path)]);
}

async function killAndLift(load: Load): Promise<void> {
  const target = `agent:victim-${load.next()}`;
  await administer(load.home, "kill.set", { target, why: "law" });
  load.acknowledged.kills.set(target, true);
  const [older] = [...load.acknowledged.kills].find(([, inForce]) => inForce) ?? [];
  if (older === undefined || older === target) return;
  load.acknowledged.kills.delete(older);
  await administer(load.home, "kill.lift", { target: older, why: "law" });
  load.acknowledged.kills.set(older, false);
}

async function setSecret(load: Load): Promise<void> {
  const name = `s-${load.next()}`;
  await administer(load.home, "secret.set", { name, value_base64: Buffer.from(`value-of-${name}`).toString("base64") });
  load.acknowledged.secrets.add(name);
}

test(`killed ${ROUNDS} times under load, nothing is lost and nothing is twice`, { timeout: 600_000 }, async (t) => {
  await using upstream = await startDouble((_, response) => replyJson(response, 200, {}));
  using home = await makeHome({ config: config(upstream.url), secrets: { api: "rk_live_crash_law" }, agents: ["bot"] });
  const acknowledged: Acknowledged = { calls: new Set(), kills: new Map(), secrets: new Set(), approvals: new Set() };
  let count = 0;
  let slowestStartMs = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    const daemon = await startStage(home);
    slowestStartMs = Math.max(slowestStartMs, performance.now() - startedAt);
    try {
      await checkState(home, acknowledged).catch((error: unknown) =>
        assert.fail(`round ${round}: ${String(error)}\n${daemon.said()}`),
      );
      if (round % VERIFY_EVERY === 0) await checkChain(home);
      await loadAndKill(home, daemon, acknowledged, () => `${round}-${count++}`);
    } finally {
      daemon.signal("SIGKILL");
      await daemon.ended;
    }
  }
  await using _last = await startStage(home);
  await checkState(home, acknowledged);
  await checkChain(home);
  checkCalls(home, upstream, acknowledged);
  const { calls, kills, secrets, approvals } = acknowledged;
  t.diagnostic(
    `${upstream.received.length} hits, ${calls.size} acknowledged calls, ${approvals.size} approvals, ${kills.size} kills, ${secrets.size} secrets; slowest start ${Math.round(slowestStartMs)} ms`,
  );
});

async function loadAndKill(
  home: TestHome,
  daemon: TestDaemon,
  acknowledged: Acknowledged,
  next: () => string,
): Promise<void> {
  let over = false;
  const load: Load = { home, url: daemon.url, key: home.key("bot"), acknowledged, next, over: () => over };
  const work = [
    repeatedly(load, () => call(load, "GET", `/items/${next()}`)),
    repeatedly(load, () => call(load, "GET", `/items/${next()}`)),
    repeatedly(load, () => callOverMcp(load)),
    repeatedly(load, () => holdApproveRepeat(load)),
    repeatedly(load, () => killAndLift(load)),
    repeatedly(load, () => setSecret(load)),
  ];
  await pause(Math.random() * LOAD_MS);
  daemon.signal("SIGKILL");
  await daemon.ended;
  over = true;
  await Promise.all(work);
}

/** What was acknowledged before the crash is so after it. */
async function checkState(home: TestHome, { kills, secrets }: Acknowledged): Promise<void> {
  const listed = await administer<{ kills: { target: string }[] }>(home, "kill.list");
  const inForce = new Set(listed.kills.map(({ target }) => target));
  for (const [target, wanted] of kills) assert.equal(inForce.has(target), wanted, `the kill of ${target}`);
  const stored = await administer<{ secrets: { name: string }[] }>(home, "secret.list");
  const names = new Set(stored.secrets.map(({ name }) => name));
  for (const name of secrets) assert.ok(names.has(name), `the secret ${name}`);
}

async function checkChain(home: TestHome): Promise<void> {
  const { ok, findings } = await verifyAudit({ folder: join(home.home, "audit") });
  assert.ok(ok, JSON.stringify(findings.slice(0, 5)));
}

function checkCalls(home: TestHome, upstream: Double, { calls, approvals }: Acknowledged): void {
  const events = readEvidence(home.home);
  const permitted = new Set(
    events.filter(({ type, decision }) => type === "call.decided" && decision === "permit").map(({ path }) => path),
  );
  const completed = new Set(
    events.filter(({ type, code }) => type === "call.completed" && code === null).map(({ request_id }) => request_id),
  );
  const deletions = upstream.received.filter(({ method }) => method === "DELETE").map(({ url }) => url);
  for (const { url } of upstream.received)
    assert.ok(permitted.has(url), `${url} reached the upstream without a recorded decision`);
  for (const id of calls) assert.ok(completed.has(id), `the call ${id} was answered without a recorded outcome`);
  assert.equal(new Set(deletions).size, deletions.length, "an approval was used twice");
  const used = events.filter(({ type }) => type === "approval.used").map((event) => event["approval_id"]);
  assert.equal(new Set(used).size, used.length, "an approval was recorded as used twice");
  const granted = new Set(
    events.filter(({ type }) => type === "approval.granted").map((event) => event["approval_id"]),
  );
  for (const id of approvals) assert.ok(granted.has(id), `the approval ${id} was acknowledged without evidence`);
  const open = events
    .filter(({ type, decision }) => type === "call.decided" && decision === "permit")
    .map(({ request_id }) => request_id);
  const closed = new Set(events.filter(({ type }) => type === "call.completed").map(({ request_id }) => request_id));
  for (const id of open) assert.ok(closed.has(id), `the decision of ${id} has no outcome, not even \`interrupted\``);
}
