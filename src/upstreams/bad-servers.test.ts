import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../base/problem.ts";
import { alive, callOf, relayOf, STAGED_KEY, scripted, sendCall, stage, textOf, until } from "./upstreams.testing.ts";

test("a server that never answers a call: the call ends at its deadline, the server is told, later calls work", async (t) => {
  const { upstreams, children } = stage(t);
  const service = scripted();
  await sendCall(upstreams, callOf(service, "echo"));
  const { problem } = await sendCall(upstreams, callOf(service, "slow", {}, { timeoutMs: 30 }));
  assert.equal(problem?.code, "upstream_timeout");
  assert.match(textOf(await sendCall(upstreams, callOf(service, "cancelled"))), /^\d+$/);
  assert.equal(children.length, 1);
});

test("an answer that comes after its call was given up is nobody's", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  await sendCall(upstreams, callOf(service, "echo"));
  const { problem } = await sendCall(upstreams, callOf(service, "late", {}, { timeoutMs: 10 }));
  assert.equal(problem?.code, "upstream_timeout");
  await until(() => upstreams.status()[0]!.ignored === 1);
  assert.equal(textOf(await sendCall(upstreams, callOf(service, "echo", { a: 1 }))), '{"a":1}');
});

test("a caller that leaves ends its call upstream", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  await sendCall(upstreams, callOf(service, "echo"));
  const { problem } = await sendCall(upstreams, callOf(service, "slow"), (exchange) => {
    setTimeout(() => exchange.abort(new Problem("killed")), 20);
  });
  assert.equal(problem?.code, "killed");
  assert.match(textOf(await sendCall(upstreams, callOf(service, "cancelled"))), /^\d+$/);
});

test("a server that never answers the handshake does not hold its caller", async (t) => {
  const { upstreams, children } = stage(t);
  const { problem } = await sendCall(upstreams, callOf(scripted(["mute"]), "echo", {}, { timeoutMs: 200 }));
  assert.equal(problem?.code, "upstream_timeout");
  assert.equal(await upstreams.stopService("srv"), 1);
  assert.equal(alive(children[0]!.pid), false);
});

test("a server that exits on the question for its revision is started once more, and not asked again", async (t) => {
  const { upstreams, children } = stage(t);
  const service = scripted(["exit-on-probe"]);
  assert.equal(textOf(await sendCall(upstreams, callOf(service, "echo"))), "{}");
  assert.equal(children.length, 2);
  await upstreams.stopService("srv");
  assert.equal(textOf(await sendCall(upstreams, callOf(service, "echo"))), "{}");
  assert.equal(children.length, 3);
});

test("a server that dies at its start is named with its last words, scrubbed, and not started again at once", async (t) => {
  const { upstreams, children, events, services } = stage(t);
  const service = scripted(["die", STAGED_KEY]);
  services.set("srv", service);
  const { problem } = await sendCall(upstreams, callOf(service, "echo"));
  assert.equal(problem?.code, "upstream_unreachable");
  assert.match(problem?.message ?? "", /exited with status 7: no key: /);
  assert.equal(problem?.message.includes(STAGED_KEY), false);
  const started = children.length;
  const next = await sendCall(upstreams, callOf(service, "echo"));
  assert.equal(next.problem?.code, "upstream_unreachable");
  assert.ok((next.problem?.fields.retry_after ?? 0) >= 1);
  assert.equal(children.length, started);
  assert.equal(upstreams.status()[0]?.state, "failed");
  assert.equal(events.filter(({ type }) => type === "upstream.stopped").length, started);
});

test("a server that exits in mid-call fails that call alone, with its last words", async (t) => {
  const { upstreams, events } = stage(t);
  const service = scripted();
  const other = scripted([], { name: "other" });
  await sendCall(upstreams, callOf(other, "echo"));
  const { problem } = await sendCall(upstreams, callOf(service, "exit"));
  assert.equal(problem?.code, "upstream_unreachable");
  assert.match(problem?.message ?? "", /status 3: last words of the server/);
  assert.equal(textOf(await sendCall(upstreams, callOf(other, "echo"))), "{}");
  assert.ok(events.some(({ type, data }) => type === "upstream.stopped" && /status 3/.test(String(data?.["reason"]))));
});

test("a text that was cut in the middle of a character is read, all other escapes as they are", async (t) => {
  const { upstreams } = stage(t);
  const read = async (json: string) => textOf(await sendCall(upstreams, callOf(scripted(), "raw", { json })));
  assert.equal(
    await read('"a\\ud83d b\\ude00 \\ud83d\\ude00 \\\\ud83d \\u00e9"'),
    "a\ufffd b\ufffd \u{1f600} \\ud83d \u00e9",
  );
});

test("a call whose answer cannot be read fails at once", async (t) => {
  const { upstreams } = stage(t);
  for (const json of ['1,"text":2', '{"__proto__":1}', "1e999", '"\\x"']) {
    const { problem } = await sendCall(upstreams, callOf(scripted(), "raw", { json }, { timeoutMs: 60_000 }));
    assert.equal(problem?.code, "upstream_invalid", json);
  }
});

test("garbage on standard output is counted and ignored", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  assert.equal(textOf(await sendCall(upstreams, callOf(service, "garbage"))), "after garbage");
  assert.equal(upstreams.status()[0]?.ignored, 6);
});

test("answers with ids that nobody waits for reach nobody", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  assert.equal(textOf(await sendCall(upstreams, callOf(service, "wrongId"))), "true");
  await until(() => upstreams.status()[0]!.ignored === 4);
});

test("an answer over the limit fails its call; the next one works", async (t) => {
  const { upstreams, children } = stage(t);
  const service = scripted();
  for (const bytes of [300_000, 2_000_000]) {
    const { problem } = await sendCall(upstreams, callOf(service, "big", { bytes }));
    assert.equal(problem?.code, "upstream_too_large", String(bytes));
  }
  assert.equal(textOf(await sendCall(upstreams, callOf(service, "big", { bytes: 10 }))), "xxxxxxxxxx");
  assert.equal(children.length, 1);
});

test("a server that writes without end is stopped", async (t) => {
  const { upstreams, children } = stage(t);
  const { problem } = await sendCall(upstreams, callOf(scripted(["newline-never"]), "echo"));
  assert.equal(problem?.code, "upstream_unreachable");
  assert.match(problem?.message ?? "", /without end/);
  for (const { pid } of children) await until(() => !alive(pid));
});

test("a server that floods its client is stopped, and the client hears a bounded number", async (t) => {
  const { upstreams } = stage(t);
  const service = scripted();
  const relay = relayOf();
  const { problem } = await sendCall(upstreams, callOf(service, "flood", {}, { relay }));
  assert.equal(problem?.code, "upstream_unreachable");
  assert.match(problem?.message ?? "", /floods/);
  assert.ok(relay.told.length < 5_000, `${relay.told.length}`);
});

test("a server that ignores SIGTERM and forks is gone with its whole group", async (t) => {
  const { upstreams, children } = stage(t);
  const service = scripted(["stubborn", "fork"]);
  await sendCall(upstreams, callOf(service, "echo"));
  assert.equal(await upstreams.stopService("srv"), 1);
  await until(() => !alive(-children[0]!.pid));
});

test("a service that is stopped while it starts does not start", async (t) => {
  const { upstreams, children } = stage(t);
  const call = sendCall(upstreams, callOf(scripted(), "echo"));
  await until(() => children.length === 1);
  await upstreams.stopService("srv");
  const { problem } = await call;
  assert.equal(problem?.code, "upstream_unreachable");
  assert.equal(alive(children[0]!.pid), false);
  assert.deepEqual(upstreams.status(), []);
});

test("a start that cannot be recorded is none", async (t) => {
  const { upstreams, children } = stage(t, {
    audit: {
      append: async () => {
        throw new Problem("audit_unavailable");
      },
    },
  });
  const { problem } = await sendCall(upstreams, callOf(scripted(), "echo"));
  assert.equal(problem?.code, "audit_unavailable");
  assert.equal(alive(children[0]!.pid), false);
});
