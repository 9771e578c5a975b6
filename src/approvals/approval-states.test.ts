import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Approver } from "./approval.ts";
import {
  lapse,
  pendingApproval,
  refusalOfAnswer,
  refusalOfYes,
  sayNo,
  sayYes,
  statusAt,
  useOnce,
} from "./approval-states.ts";
import { holdRequest, later, NOW, testPrincipal } from "./hold-request.testing.ts";

const asked = (quorum = 1) => pendingApproval("apr_a", holdRequest({ quorum }));
const yes = (by: string, seconds = 0, forSeconds?: number) => ({ by, at: later(seconds), forSeconds });

test("one yes for one use is good for fifteen minutes from the answer on", () => {
  const granted = sayYes(asked(), yes("owner", 899), undefined);
  assert.equal(granted.status, "granted");
  assert.equal(statusAt(granted, later(899 + 899)), "granted");
  assert.equal(statusAt(granted, later(899 + 900)), "expired");
});

test("a question lapses when nobody answers in time", () => {
  assert.equal(statusAt(asked(), later(899)), "pending");
  assert.equal(statusAt(asked(), later(900)), "expired");
});

test("a window that was used has done its work, one that was not has expired", () => {
  const window = sayYes(asked(), yes("owner", 0, 600), undefined);
  assert.equal(statusAt(window, later(600)), "expired");
  assert.equal(statusAt(useOnce(window, later(5)), later(599)), "granted");
  assert.equal(statusAt(useOnce(window, later(5)), later(600)), "used");
});

test("a quorum needs that many people, and grants the narrowest that anyone said", () => {
  const first = sayYes(asked(3), yes("owner", 0, 600), undefined);
  const second = sayYes(first, yes("user:ann", 0, 60), undefined);
  assert.equal(second.status, "pending");
  assert.deepEqual(sayYes(second, yes("user:bob", 0, 90), undefined).granted, later(60));
  assert.equal(sayYes(second, yes("user:bob"), undefined).granted, "once");
});

test("no agent answers, nobody answers twice, and `separate` wants another person", () => {
  const approval = pendingApproval("apr_a", holdRequest({ principal: testPrincipal({ user: "ann" }) }));
  const agents: Approver[] = [
    { id: "owner", agent: "dns-bot" },
    { id: "owner", agent: "other-bot" },
    { id: "owner", client: "key_other" },
    { id: "dns-bot" },
    { id: "agent:dns-bot" },
    { id: "key_one" },
    { id: "client:key_one" },
  ];
  for (const by of agents) assert.equal(refusalOfAnswer(approval, by)?.code, "denied", JSON.stringify(by));
  assert.equal(refusalOfAnswer(approval, { id: "owner" }), undefined);
  const ann = { id: "user:ann", user: "ann" };
  assert.equal(refusalOfYes(approval, ann, true)?.code, "denied");
  assert.equal(refusalOfYes(approval, ann, false), undefined);
  assert.equal(refusalOfYes(approval, { id: "user:bob", user: "bob" }, true), undefined);
  assert.equal(refusalOfYes(sayYes(approval, yes("user:ann"), undefined), ann, false)?.code, "invalid_request");
});

test("whatever happens in whatever order, one yes gives one use, and after a no there is none", () => {
  const step = fc.constantFrom("yes", "no", "use", "lapse");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.integer({ min: 1, max: 3 }), (steps, quorum) => {
      let approval = asked(quorum);
      let [uses, yeses, ended] = [0, 0, false];
      for (const what of steps) {
        const status = statusAt(approval, NOW);
        if (what === "use" && status === "granted") {
          assert.ok(yeses >= quorum && !ended);
          approval = useOnce(approval, NOW);
          uses++;
        }
        if (what === "yes" && status === "pending") approval = sayYes(approval, yes(`user:${yeses++}`), undefined);
        if (what === "no" && (status === "pending" || status === "granted")) {
          approval = sayNo(approval, { by: "owner", at: NOW, why: "no" });
          ended = true;
        }
        if (what === "lapse" && (status === "pending" || status === "granted")) {
          approval = lapse(approval);
          ended = true;
        }
      }
      assert.ok(uses <= 1);
    }),
    { numRuns: 500 },
  );
});
