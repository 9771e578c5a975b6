import assert from "node:assert/strict";
import { test } from "node:test";
import { NOON, principal } from "../policy/policy.testing.ts";
import { type ActiveCall, createActiveCalls } from "./active-calls.ts";

const kill = (target: string) => ({ target, why: "a test", setBy: "owner", setAt: NOON });

function activeCall(agent: string, streaming: boolean) {
  const stopped: string[] = [];
  const service = { config: { name: "dns", credential: { secret: "local:dns-key" } } };
  const call: ActiveCall = {
    slot: -1,
    killable: { principal: principal({ agent }), service, scopes: ["dns:zones"] },
    streaming,
    stop({ target }) {
      stopped.push(target);
      return stopped.length === 1;
    },
  };
  return { call, stopped };
}

test("a kill stops what it covers and nothing else, and counts what it stopped itself", () => {
  const calls = createActiveCalls();
  const a = activeCall("a", true);
  const b = activeCall("b", false);
  calls.add(a.call);
  calls.add(b.call);
  assert.deepEqual(calls.cut(kill("agent:a")), { stopped: 1, streams: 1 });
  assert.deepEqual([a.stopped, b.stopped], [["agent:a"], []]);
  assert.deepEqual(calls.cut(kill("operation:dns:zones")), { stopped: 1, streams: 0 });
  assert.deepEqual(calls.cut(kill("agent:nobody")), { stopped: 0, streams: 0 });
});

test("a call that removes itself while it is stopped does not keep another from being stopped", () => {
  const calls = createActiveCalls();
  const later = activeCall("a", false);
  const first: ActiveCall = {
    ...activeCall("a", false).call,
    stop() {
      calls.remove(first);
      return true;
    },
  };
  calls.add(first);
  calls.add(later.call);
  assert.equal(calls.cut(kill("all")).stopped, 2);
});

test("idle comes when the last call is gone, for everybody who waits", async () => {
  const calls = createActiveCalls();
  await calls.idle();
  const { call } = activeCall("a", false);
  calls.add(call);
  let idle = 0;
  const waits = [calls.idle(), calls.idle()].map((wait) => wait.then(() => idle++));
  await Promise.resolve();
  assert.equal(idle, 0);
  calls.remove(call);
  await Promise.all(waits);
  assert.equal(idle, 2);
  calls.remove(call);
  assert.equal(calls.size, 0);
});

test("a call is removed once, whatever its place, and the others stay", () => {
  const calls = createActiveCalls();
  const [a, b, c] = [activeCall("a", false), activeCall("b", false), activeCall("c", false)];
  for (const { call } of [a, b, c]) calls.add(call);
  calls.remove(a.call);
  calls.remove(a.call);
  assert.equal(calls.size, 2);
  assert.deepEqual(calls.cut(kill("all")), { stopped: 2, streams: 0 });
  assert.deepEqual([a.stopped, b.stopped, c.stopped], [[], ["all"], ["all"]]);
});
