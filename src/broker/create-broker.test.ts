import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Problem } from "../base/problem.ts";
import { principal } from "../policy/policy.testing.ts";
import { callTo, recordingSink, STAGED_SECRET, stageBroker, turns } from "./broker.testing.ts";

test("a permitted call: decision, credential, request, outcome, and only then the end", async () => {
  const stage = stageBroker();
  const door = recordingSink();
  stage.broker.call(callTo("GET /zones?a=1"), door.sink);
  await turns();
  assert.deepEqual(stage.steps, ["append:call.decided", "lease", "send"]);
  const [exchange] = stage.exchanges;
  assert.equal(exchange?.outbound.path, "/zones?a=1");
  assert.deepEqual(exchange?.outbound.headers, [["authorization", `Bearer ${STAGED_SECRET}`]]);

  const open = stage.gate("append:call.completed");
  exchange?.sink.head({ status: 200, headers: [] });
  exchange?.sink.data(new Uint8Array(3));
  exchange?.end();
  await turns();
  assert.deepEqual(door.told, ["head 200", "data 3"], "the end waits for the outcome");
  assert.equal(stage.active.size, 1, "a drain waits for it too");
  open();
  await door.ended;
  assert.deepEqual(door.told, ["head 200", "data 3", "end"]);
  assert.equal(stage.active.size, 0);
  assert.deepEqual(
    stage.events.map(({ type, decision }) => [type, decision]),
    [
      ["call.decided", "permit"],
      ["call.completed", undefined],
    ],
  );
  assert.equal(stage.events[1]?.data?.["status"], 200);
  assert.equal(stage.events[1]?.data?.["bytes"], 3);
  assert.ok(!JSON.stringify(stage.events).includes(STAGED_SECRET));
});

test("a door may get ready while the outcome is written; one that throws then is no harm to the call", async () => {
  for (const fault of [undefined, new TypeError("oops")]) {
    const stage = stageBroker();
    const door = recordingSink();
    const sink = {
      ...door.sink,
      meanwhile() {
        door.told.push("meanwhile");
        if (fault !== undefined) throw fault;
      },
    };
    stage.broker.call(callTo("GET /zones"), sink);
    await turns();
    stage.exchanges[0]?.sink.head({ status: 200, headers: [] });
    stage.exchanges[0]?.end();
    await door.ended;
    assert.deepEqual(door.told, ["head 200", "meanwhile", "end"]);
    assert.deepEqual(stage.faults, fault === undefined ? [] : [fault]);
  }
});

test("a door whose call failed has nothing to get ready", async () => {
  const stage = stageBroker();
  const door = recordingSink();
  stage.broker.call(callTo("GET /zones"), { ...door.sink, meanwhile: () => door.told.push("meanwhile") });
  await turns();
  stage.exchanges[0]?.fail(new Problem("upstream_timeout"));
  await door.ended;
  assert.equal(door.told.length, 1);
});

const UNSENT: Record<string, (stage: ReturnType<typeof stageBroker>) => void> = {
  "the decision cannot be recorded": (stage) => stage.fail("append:call.decided"),
  "the secret cannot be had": (stage) => stage.fail("lease", new Problem("secret_unavailable")),
  "the vault throws something else": (stage) => stage.fail("lease", new TypeError("oops")),
  "the approval cannot be looked up": (stage) => stage.fail("hold", new Problem("store_unavailable")),
};

for (const [why, prepare] of Object.entries(UNSENT)) {
  test(`nothing is sent when ${why}`, async () => {
    for (const line of why.includes("approval") ? ["DELETE /zones/a"] : ["GET /zones", "DELETE /zones/a"]) {
      const stage = stageBroker();
      prepare(stage);
      const door = recordingSink();
      stage.broker.call(callTo(line), door.sink);
      await door.ended;
      await turns();
      assert.equal(stage.exchanges.length, 0);
      assert.equal(door.told.length, 1);
      assert.match(door.told[0] ?? "", /^fail /);
      assert.equal(stage.active.size, 0);
      assert.equal(stage.finished.length, 1);
    }
  });
}

test("a decision is remembered for its caller, also where the log left no time for it, and as it ended", async () => {
  const remembered = (stage: ReturnType<typeof stageBroker>) => stage.deps.recent.find("req_1", principal());
  const hasty = stageBroker();
  const { append } = hasty.deps.audit;
  hasty.deps.audit.append = (event) => append(event);
  hasty.broker.call(callTo("GET /zones"), recordingSink().sink);
  await turns();
  assert.equal(remembered(hasty)?.["decision"], "permit");

  const lost = stageBroker();
  lost.fail("append:call.decided");
  const door = recordingSink();
  lost.broker.call(callTo("GET /zones"), door.sink);
  await door.ended;
  assert.deepEqual([remembered(lost)?.["decision"], remembered(lost)?.["code"]], ["deny", "audit_unavailable"]);
});

test("without a durable decision the credential is not even asked for", async () => {
  const stage = stageBroker();
  stage.fail("append:call.decided");
  const door = recordingSink();
  stage.broker.call(callTo("GET /zones"), door.sink);
  await door.ended;
  assert.ok(!stage.steps.includes("lease"));
  assert.deepEqual(door.told, ["fail audit_unavailable"]);
  assert.deepEqual(stage.events, []);
});

test("a refusal that a step throws is evidence too", async () => {
  const stage = stageBroker();
  stage.fail("hold", new Problem("store_unavailable"));
  const door = recordingSink();
  stage.broker.call(callTo("DELETE /zones/a"), door.sink);
  await door.ended;
  assert.deepEqual(door.told, ["fail store_unavailable"]);
  assert.deepEqual(
    stage.events.map(({ type, decision, code, operation }) => [type, decision, code, operation]),
    [["call.decided", "deny", "store_unavailable", "wipe"]],
  );
});

test("a fault of ours is told as `internal_error`, and to the log with all it says", async () => {
  const stage = stageBroker();
  stage.fail("hold", new TypeError("no secret words"));
  const door = recordingSink();
  stage.broker.call(callTo("DELETE /zones/a"), door.sink);
  await door.ended;
  assert.deepEqual(door.told, ["fail internal_error"]);
  assert.equal(stage.faults.length, 1);
});

test("an answer whose outcome cannot be recorded is withheld", async () => {
  const stage = stageBroker();
  stage.fail("append:call.completed");
  const door = recordingSink();
  stage.broker.call(callTo("GET /zones"), door.sink);
  await turns();
  const [exchange] = stage.exchanges;
  exchange?.sink.head({ status: 200, headers: [] });
  exchange?.sink.data(new Uint8Array(3));
  exchange?.end();
  await door.ended;
  assert.deepEqual(door.told, ["head 200", "data 3", "fail internal_error"]);
  assert.equal(stage.active.size, 0);
});

test("a service that is not there and one that the caller may not know of answer alike, whatever is sent", async () => {
  for (const line of ["GET /zones", "GET /../x", "PATCH /y"]) {
    const answers: string[] = [];
    for (const name of ["hidden", "absent"]) {
      const stage = stageBroker();
      const { promise, resolve } = Promise.withResolvers<Problem>();
      stage.broker.call(callTo(line, { service: name }), { ...recordingSink().sink, fail: resolve });
      const { code, message, remedy, fields } = await promise;
      answers.push(JSON.stringify([code, message.replace(name, "NAME"), remedy, fields]));
    }
    assert.equal(answers[0], answers[1]);
    assert.match(answers[0] ?? "", /unknown_service/);
  }
});

test("a denied call has one event, and touches nothing", async () => {
  const stage = stageBroker();
  const door = recordingSink();
  stage.broker.call(callTo("PATCH /zones"), door.sink);
  await door.ended;
  assert.deepEqual(stage.steps, ["append:call.decided"]);
  assert.equal(stage.events[0]?.decision, "deny");
});

test("a denial that cannot be recorded is answered as that", async () => {
  const stage = stageBroker();
  stage.fail("append:call.decided");
  const door = recordingSink();
  stage.broker.call(callTo("PATCH /zones"), door.sink);
  await door.ended;
  assert.deepEqual(door.told, ["fail audit_unavailable"]);
});

for (const step of ["append:call.decided", "lease", "hold"]) {
  for (const target of ["agent:bot", "service:dns", "secret:dns-key", "operation:dns:wipe", "client:key_1", "all"]) {
    test(`a kill of ${target} during ${step}: nothing is sent, and the outcome says killed`, async () => {
      const stage = stageBroker();
      const open = stage.gate(step);
      const door = recordingSink();
      stage.broker.call(callTo("DELETE /zones/a"), door.sink);
      await turns();
      stage.kill(target);
      open();
      await door.ended;
      assert.equal(stage.exchanges.length, 0);
      assert.equal(stage.steps.includes("lease"), step === "lease", "no credential is asked for any more");
      assert.deepEqual(door.told, ["fail killed"]);
      assert.deepEqual(
        stage.events.map(({ type, code, data }) => [type, code, data?.["sent"]]),
        [
          ["call.decided", undefined, undefined],
          ["call.completed", "killed", false],
        ],
      );
    });
  }
}

test("a kill cuts what streams, and counts it once", async () => {
  const stage = stageBroker();
  const door = recordingSink();
  stage.broker.call(callTo("GET /zones"), door.sink);
  await turns();
  stage.exchanges[0]?.sink.head({ status: 200, headers: [] });
  assert.deepEqual(stage.kill("agent:bot"), { stopped: 1, streams: 1 });
  assert.deepEqual(stage.kill("agent:bot"), { stopped: 0, streams: 0 });
  await door.ended;
  assert.deepEqual(door.told, ["head 200", "fail killed"]);
  assert.equal(stage.events[1]?.code, "killed");
});

test("a held call is refused, once, with its approval in the event, and touches nothing", async () => {
  const stage = stageBroker();
  stage.refuseHold(new Problem("approval_required"));
  const door = recordingSink();
  stage.broker.call(callTo("DELETE /zones/a"), door.sink);
  await door.ended;
  assert.deepEqual(stage.steps, ["hold", "append:call.decided"]);
  assert.deepEqual(door.told, ["fail approval_required"]);
  assert.equal(stage.events[0]?.decision, "ask");
  assert.equal(stage.events[0]?.data?.["approval_id"], "apr_1");
});

test("an upstream side that ends twice is heard once", async () => {
  const stage = stageBroker();
  const door = recordingSink();
  stage.broker.call(callTo("GET /zones"), door.sink);
  await turns();
  stage.exchanges[0]?.sink.end();
  stage.exchanges[0]?.sink.fail(new Problem("upstream_timeout"));
  stage.exchanges[0]?.sink.end();
  await turns();
  assert.deepEqual(door.told, ["end"]);
  assert.equal(stage.events.length, 2);
});

test("an approval is used in the decision's own event", async () => {
  const stage = stageBroker();
  const door = recordingSink();
  stage.broker.call(callTo("DELETE /zones/a"), door.sink);
  await turns();
  assert.deepEqual(stage.steps, ["hold", "append:call.decided", "lease", "send"]);
  assert.equal(stage.events[0]?.data?.["approval_id"], "apr_1");
  stage.exchanges[0]?.fail(new Problem("upstream_timeout"));
  await door.ended;
  assert.deepEqual(door.told, ["fail upstream_timeout"]);
});

test("an answer over the limit is cut for `mcp`, and fails for `api`", async () => {
  for (const [door, last] of [
    ["mcp", "end"],
    ["api", "fail upstream_too_large"],
  ] as const) {
    const stage = stageBroker();
    const sink = recordingSink();
    const call = stage.broker.call(callTo("GET /zones", { door }), sink.sink);
    await turns();
    stage.exchanges[0]?.sink.head({ status: 200, headers: [] });
    stage.exchanges[0]?.fail(new Problem("upstream_too_large"));
    await sink.ended;
    assert.equal(sink.told.at(-1), last);
    assert.equal(call.truncated, door === "mcp");
  }
});

test("a door that throws ends no other call, and leaves nothing under way", async () => {
  const stage = stageBroker();
  const told = recordingSink();
  const broken = () => {
    throw new TypeError("the door is broken");
  };
  stage.broker.call(callTo("GET /zones"), { ...told.sink, end: broken });
  stage.broker.call(callTo("PATCH /zones"), { ...told.sink, fail: broken });
  await turns();
  stage.exchanges[0]?.end();
  await turns();
  assert.equal(stage.faults.length, 2);
  assert.equal(stage.active.size, 0);
});

test("Doorward's own calls need no role, must be reads, and heed kills", async () => {
  const own = { rule: "owner:service-test" } as const;
  for (const [line, kill, told] of [
    ["GET /zones", undefined, undefined],
    ["DELETE /zones/a", undefined, "fail denied"],
    ["GET /poke", undefined, "fail denied"],
    ["POST /look", undefined, "fail denied"],
    ["GET /nothing", undefined, "fail denied"],
    ["GET /zones", "service:dns", "fail killed"],
  ] as const) {
    const stage = stageBroker();
    if (kill !== undefined) stage.kill(kill);
    const door = recordingSink();
    stage.broker.call(callTo(line, { own, principal: principal({ agent: "(owner)" }) }), door.sink);
    await turns();
    assert.deepEqual(door.told, told === undefined ? [] : [told]);
    assert.equal(stage.exchanges.length, told === undefined ? 1 : 0);
  }
});

const ACTIONS = ["kill", "leave", "head", "data", "end", "fail", "open"] as const;

test("law: whatever comes in whatever order, a call ends once, and has one decision and at most one outcome", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...ACTIONS), { maxLength: 8 }),
      fc.constantFrom(undefined, "append:call.decided", "lease", "append:call.completed", "hold"),
      fc.constantFrom(undefined, "append:call.decided", "lease", "append:call.completed", "hold"),
      fc.constantFrom("GET /zones", "DELETE /zones/a", "PATCH /zones"),
      fc.constantFrom("api" as const, "mcp" as const),
      async (actions, gated, failing, line, door) => {
        const stage = stageBroker();
        const open = gated === undefined ? () => {} : stage.gate(gated);
        if (failing !== undefined) stage.fail(failing);
        const sink = recordingSink();
        const call = stage.broker.call(callTo(line, { door }), sink.sink);
        let headed = false;
        const act: Record<(typeof ACTIONS)[number], () => void> = {
          kill: () => void stage.kill("agent:bot"),
          leave: () => call.leave(),
          open,
          head() {
            const [exchange] = stage.exchanges;
            if (exchange === undefined || exchange.over || headed) return;
            headed = true;
            exchange.sink.head({ status: 200, headers: [] });
          },
          data() {
            const [exchange] = stage.exchanges;
            if (headed && exchange?.over === false) exchange.sink.data(new Uint8Array(1));
          },
          end: () => (headed ? stage.exchanges[0]?.end() : undefined),
          fail: () => stage.exchanges[0]?.fail(new Problem("upstream_timeout")),
        };
        for (const action of actions) {
          act[action]();
          await turns();
        }
        open();
        await turns();
        stage.exchanges[0]?.fail(new Problem("upstream_timeout"));
        await sink.ended;
        await turns();
        const ends = sink.told.filter((one) => one === "end" || one.startsWith("fail"));
        assert.equal(ends.length, 1, sink.told.join());
        assert.equal(sink.told.at(-1), ends[0], "nothing after the end");
        assert.equal(stage.active.size, 0);
        assert.equal(stage.finished.length, 1);
        assert.equal(stage.faults.length, 0);
        const types = stage.events.map(({ type }) => type);
        const permitted = stage.events[0]?.decision === "permit";
        const expected = types.length === 0 ? [] : permitted ? ["call.decided", "call.completed"] : ["call.decided"];
        if (failing !== "append:call.completed") assert.deepEqual(types, expected);
        if (stage.exchanges.length > 0) assert.ok(permitted, "what was sent was decided, durably");
        if (ends[0] === "end") assert.equal(types.at(-1), "call.completed", "no end without an outcome");
      },
    ),
    { numRuns: 300 },
  );
});
