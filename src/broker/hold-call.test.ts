import assert from "node:assert/strict";
import { test } from "node:test";
import type { Approval } from "../approvals/approval.ts";
import type { Approvals, FoundApproval, HoldRequest } from "../approvals/approvals.ts";
import type { JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { decide } from "../policy/decide.ts";
import { agent, NOON, operation, question, role, service, snapshotOf } from "../policy/policy.testing.ts";
import { callTo } from "./broker.testing.ts";
import { type AskedCall, createHolds } from "./hold-call.ts";

const SNAPSHOT = snapshotOf({
  services: [
    service("dns", [
      operation("list", { allow: ["GET /zones"] }),
      operation("wipe", {
        effect: "destructive",
        allow: ["POST /wipe"],
        approval: { message: "Delete {preview.total} zones", preview: "GET /zones", expiresSeconds: 900 },
      }),
    ]),
  ],
  roles: [role("r", ["dns:*"])],
  agents: [agent("bot", ["r"])],
});

function asked(sent: Parameters<typeof question>[2] = {}): AskedCall {
  const asking = question(SNAPSHOT, "POST /wipe", sent);
  const decision = decide(asking);
  assert.ok(decision.kind === "ask");
  return { call: callTo("POST /wipe"), service: asking.service, request: asking.request, decision, now: NOON };
}

const APPROVAL = { id: "apr_1", message: "Delete 3 zones", expiresAt: NOON, why: undefined } as Approval;

/** Approvals that answer as told, in turn, and write down what they were asked. */
function stage(finds: readonly FoundApproval[], uses: readonly boolean[] = [], preview?: JsonValue) {
  const held: (HoldRequest & { prepared: unknown })[] = [];
  const used: string[] = [];
  let found = 0;
  const approvals = {
    find: async () => finds[Math.min(found++, finds.length - 1)],
    async hold(request: HoldRequest) {
      held.push({ ...request, prepared: await request.prepare?.() });
      return { approval: APPROVAL, created: true };
    },
    async use({ requestId }: { requestId: string }) {
      used.push(requestId);
      return uses[used.length - 1] ? { ok: true, approval: APPROVAL } : { ok: false, reason: "used" };
    },
  } as unknown as Approvals;
  const holds = createHolds({
    approvals,
    preview: async () => preview,
    approvalUrl: (id) => `http://127.0.0.1/console/approvals/${id}`,
  });
  return { holds, held, used };
}

test("an unasked call is asked about: with the whole of it, its preview, and no credential", async () => {
  const preview = { status: 200, body: { total: 3 } };
  const { holds, held } = stage([{ kind: "none" }], [], preview);
  const answer = await holds.answer(asked({ sent: { json: { all: true } } }));
  assert.ok(answer.kind === "refused");
  const { code, fields } = answer.problem;
  assert.deepEqual([code, fields.approval_id], ["approval_required", "apr_1"]);
  assert.equal(fields.approval_url, "http://127.0.0.1/console/approvals/apr_1");
  assert.equal(fields.expires_at, NOON.toISOString());
  assert.deepEqual(held[0]?.prepared, { message: "Delete 3 zones", preview });
  assert.deepEqual(held[0]?.request, {
    method: "POST",
    url: "https://api.example/wipe",
    headers: ["content-type: application/json"],
    body: '{"all":true}',
  });
});

test("a preview that cannot be had is said", async () => {
  const { holds, held } = stage([{ kind: "none" }]);
  await holds.answer(asked());
  assert.deepEqual(held[0]?.prepared, { message: "Delete (unknown) zones", preview: undefined });
});

for (const [kind, code] of [
  ["pending", "approval_required"],
  ["denied", "approval_denied"],
  ["expired", "approval_expired"],
] as const) {
  test(`a ${kind} approval refuses with ${code}, and asks nobody`, async () => {
    const { holds, held, used } = stage([{ kind, approval: APPROVAL }]);
    const answer = await holds.answer(asked());
    assert.ok(answer.kind === "refused");
    assert.equal(answer.problem.code, code);
    assert.deepEqual([held.length, used.length], [0, 0]);
  });
}

test("a granted approval lets the call go only when its use was taken", async () => {
  const { holds, used } = stage([{ kind: "granted", approval: APPROVAL }], [true]);
  assert.deepEqual(await holds.answer(asked()), { kind: "approved", approvalId: "apr_1" });
  assert.deepEqual(used, ["req_1"]);
});

test("a use that another repeat took is not ours: the call is looked at anew", async () => {
  const granted = { kind: "granted", approval: APPROVAL } as const;
  const { holds, held } = stage([granted, { kind: "none" }], [false]);
  const answer = await holds.answer(asked());
  assert.equal(answer.kind, "refused");
  assert.equal(held.length, 1);
  const busy = stage([granted], []);
  await assert.rejects(
    busy.holds.answer(asked()),
    (error) => error instanceof Problem && error.code === "rate_limited",
  );
});
