import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { AuditEvent } from "../audit/event.ts";
import { recordingAudit } from "../identity/recording-audit.testing.ts";
import { createRefusalQuota } from "./refusal-quota.ts";

const NOON = new Date("2026-03-01T12:00:00.000Z");
const refusal = (requestId: string): AuditEvent => ({
  type: "call.decided",
  request_id: requestId,
  decision: "deny",
  code: "denied",
  data: { door: "egress", target: requestId },
});

function open(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const audit = recordingAudit();
  const quota = createRefusalQuota({ audit: audit.log, now: () => NOON });
  const refuse = async (name: string, times: number) => {
    for (let time = 1; time <= times; time++) await quota.record(name, refusal(`${name}${time}`));
  };
  return { ...audit, quota, refuse };
}

test("the first refusals of a minute are recorded in full, the rest as one event that counts them", async (t) => {
  const { events, refuse } = open(t);
  await refuse("tool", 1_000);
  assert.equal(events.length, 30);
  assert.equal(events.at(-1)?.request_id, "tool30");
  t.mock.timers.tick(60_000);
  assert.equal(events.length, 31);
  assert.deepEqual(events[30], {
    ...refusal("tool1000"),
    data: { door: "egress", target: "tool1000", count: 970, since: NOON.toISOString() },
  });
});

test("a new minute begins anew, and a quiet one leaves no event", async (t) => {
  const { events, refuse } = open(t);
  await refuse("tool", 30);
  t.mock.timers.tick(60_000);
  assert.equal(events.length, 30);
  await refuse("tool", 1);
  assert.equal(events.length, 31);
  assert.equal(events[30]?.data?.["count"], undefined);
});

test("each name has a quota of its own", async (t) => {
  const { events, refuse } = open(t);
  await refuse("loud", 100);
  await refuse("quiet", 1);
  assert.equal(events.at(-1)?.request_id, "quiet1");
});

test("what is counted is recorded once, at the end of the program or of the minute, and the quota stays used up", async (t) => {
  const { events, refuse, quota } = open(t);
  await refuse("tool", 40);
  await quota.flush("tool");
  assert.equal(events.at(-1)?.data?.["count"], 10);
  await refuse("tool", 5);
  await quota.flush();
  assert.equal(events.at(-1)?.data?.["count"], 5);
  t.mock.timers.tick(60_000);
  assert.equal(events.length, 32);
});

test("a refusal that cannot be recorded says so; a count that cannot disturbs nobody", async (t) => {
  const { fail, refuse, quota } = open(t);
  fail(() => true);
  await assert.rejects(refuse("tool", 1), { code: "audit_unavailable" });
  fail(undefined);
  await refuse("tool", 40);
  fail(() => true);
  await quota.flush("tool");
});
