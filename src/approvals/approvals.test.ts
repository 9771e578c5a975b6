import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { sql } from "kysely";
import { Problem } from "../base/problem.ts";
import type { Approvals, HoldRequest } from "./approvals.ts";
import { holdRequest, later, NOW, testApprovals, testPrincipal } from "./hold-request.testing.ts";

const OWNER = { id: "owner" };
const isProblem = (code: string) => (error: unknown) => error instanceof Problem && error.code === code;
const call = (now = NOW, change: Partial<HoldRequest> = {}) => {
  const { principal, digest, basis } = holdRequest(change);
  return { principal, digest, basis, now };
};
const use = (approvals: Approvals, id: string, now = NOW, change: Partial<HoldRequest> = {}) =>
  approvals.use({ id, requestId: "req_2", ...call(now, change) });

async function held(context: TestContext, change: Partial<HoldRequest> = {}) {
  const all = testApprovals(context);
  const { approval } = await all.approvals.hold(holdRequest(change));
  return { ...all, id: approval.id };
}

async function granted(context: TestContext, answer: { forSeconds?: number } = {}) {
  const all = await held(context);
  await all.approvals.grant({ id: all.id, by: OWNER, now: NOW, ...answer });
  return all;
}

test("a held call is asked once, found pending, granted, used once, and then asks anew", async (context) => {
  const { approvals, audit } = testApprovals(context);
  assert.deepEqual(await approvals.find(call()), { kind: "none" });
  const { approval, created } = await approvals.hold(holdRequest());
  assert.equal(created, true);
  assert.match(approval.id, /^apr_[0-9a-z]{20}$/);
  assert.deepEqual(approval.expiresAt, later(900));
  assert.equal((await approvals.find(call(later(5)))).kind, "pending");
  assert.deepEqual(await approvals.hold(holdRequest({ now: later(5) })), { approval, created: false });
  assert.equal((await approvals.grant({ id: approval.id, by: OWNER, why: "fine", now: later(10) })).status, "granted");
  assert.equal((await approvals.find(call(later(11)))).kind, "granted");
  assert.equal((await use(approvals, approval.id, later(11))).ok, true);
  assert.deepEqual(await use(approvals, approval.id, later(12)), { ok: false, reason: "used" });
  assert.deepEqual(await approvals.find(call(later(12))), { kind: "none" });
  assert.equal((await approvals.hold(holdRequest({ now: later(13) }))).created, true);
  assert.deepEqual(audit.types(), ["approval.requested", "approval.granted", "approval.used", "approval.requested"]);
  assert.equal(audit.events[0]?.request_id, "req_1");
  assert.equal(audit.events[2]?.request_id, "req_2");
  for (const event of audit.events.slice(0, 3)) {
    assert.equal(event.data?.["approval_id"], approval.id);
    assert.equal(event.data?.["assurance"], 0);
    assert.equal(JSON.stringify(event).includes("dddd"), false, "the call's digest is keyed");
  }
});

test("of a hundred repeats at a time exactly one gets the use", async (context) => {
  const { approvals, open, id, audit } = await granted(context);
  const other = open();
  const uses = await Promise.all(Array.from({ length: 100 }, (_, n) => use(n % 2 === 0 ? approvals : other, id)));
  assert.equal(uses.filter(({ ok }) => ok).length, 1);
  for (const answer of uses) if (!answer.ok) assert.equal(answer.reason, "used");
  assert.equal(audit.types().filter((type) => type === "approval.used").length, 1);
});

test("a hundred repeats at a time ask one question", async (context) => {
  const { approvals, audit } = testApprovals(context);
  const answers = await Promise.all(Array.from({ length: 100 }, () => approvals.hold(holdRequest())));
  assert.equal(answers.filter(({ created }) => created).length, 1);
  assert.equal(new Set(answers.map(({ approval }) => approval.id)).size, 1);
  assert.deepEqual(audit.types(), ["approval.requested"]);
});

test("a preview is fetched for a question that is really asked, and not for its repeats", async (context) => {
  const { approvals } = testApprovals(context);
  let fetched = 0;
  const prepare = async () => ({ message: `fetched ${++fetched}`, preview: { total: 9 } });
  const answers = await Promise.all(Array.from({ length: 20 }, () => approvals.hold(holdRequest({ prepare }))));
  assert.equal(fetched, 1);
  const shown = await approvals.show(answers[7]?.approval.id ?? "", NOW);
  assert.deepEqual([shown.message, shown.preview], ["fetched 1", { total: 9 }]);
});

test("a repeat that comes late neither asks again nor takes away what was granted meanwhile", async (context) => {
  const { approvals, id } = await granted(context);
  const { approval, created } = await approvals.hold(holdRequest({ now: later(1) }));
  assert.deepEqual([approval.id, approval.status, created], [id, "granted", false]);
  assert.equal((await use(approvals, id, later(2))).ok, true);
});

test("an approval is of no use to another call, requester or rule", async (context) => {
  const { approvals, id } = await granted(context);
  const others: Partial<HoldRequest>[] = [
    { digest: "e".repeat(64) },
    { basis: "c".repeat(64) },
    { principal: testPrincipal({ agent: "other-bot" }) },
    { principal: testPrincipal({ user: "ann" }) },
    { principal: testPrincipal({ tenant: "other" }) },
  ];
  for (const change of others) {
    assert.deepEqual(await approvals.find(call(NOW, change)), { kind: "none" });
    assert.deepEqual(await use(approvals, id, NOW, change), { ok: false, reason: "other_call" });
  }
  assert.deepEqual(await use(approvals, "apr_none"), { ok: false, reason: "unknown" });
  assert.equal(
    (await use(approvals, id, NOW, { principal: testPrincipal({ client: "key_two" }) })).ok,
    true,
    "a rotated key",
  );
});

test("what was asked under other rules is asked anew, and the old question is closed", async (context) => {
  const { approvals, id, audit } = await granted(context);
  const { approval, created } = await approvals.hold(holdRequest({ basis: "c".repeat(64), now: later(1) }));
  assert.equal(created, true);
  assert.notEqual(approval.id, id);
  assert.deepEqual(await use(approvals, id, later(2)), { ok: false, reason: "expired" });
  assert.deepEqual(await approvals.find(call(later(2))), { kind: "none" }, "nobody is told: it was not about time");
  assert.equal(audit.events.at(-2)?.code, "superseded");
});

test("a denial is told once, and then the call asks anew", async (context) => {
  const { approvals, id } = await held(context);
  await approvals.deny({ id, by: OWNER, why: "not today", now: later(1) });
  const told = await approvals.find(call(later(2)));
  assert.equal(told.kind, "denied");
  assert.equal(told.kind === "denied" && told.approval.why, "not today");
  assert.deepEqual(await approvals.find(call(later(3))), { kind: "none" });
  assert.equal((await approvals.hold(holdRequest({ now: later(4) }))).created, true);
});

test("of many repeats after a denial exactly one is told", async (context) => {
  const { approvals, id } = await held(context);
  await approvals.deny({ id, by: OWNER, why: "no", now: NOW });
  const found = await Promise.all(Array.from({ length: 20 }, () => approvals.find(call())));
  assert.equal(found.filter(({ kind }) => kind === "denied").length, 1);
});

test("what nobody answered in time has expired, which is told once and recorded once", async (context) => {
  const { approvals, id, audit } = await held(context);
  await assert.rejects(approvals.grant({ id, by: OWNER, now: later(900) }), isProblem("invalid_request"));
  const found = await Promise.all(Array.from({ length: 5 }, () => approvals.find(call(later(901)))));
  assert.equal(found.filter(({ kind }) => kind === "expired").length, 1);
  assert.deepEqual(await approvals.find(call(later(902))), { kind: "none" });
  assert.deepEqual(audit.types(), ["approval.requested", "approval.expired"]);
});

test("granted in time, it can be used for another fifteen minutes", async (context) => {
  const { approvals, id } = await held(context);
  await approvals.grant({ id, by: OWNER, now: later(899) });
  assert.equal((await approvals.find(call(later(899 + 899)))).kind, "granted");
  assert.equal((await approvals.find(call(later(899 + 900)))).kind, "expired");
  assert.deepEqual(await use(approvals, id, later(899 + 900)), { ok: false, reason: "expired" });
});

test("a window allows repetitions until it ends, each of them evidence, and then the call asks anew", async (context) => {
  const { approvals, id, audit } = await granted(context, { forSeconds: 600 });
  for (const at of [1, 2, 599]) assert.equal((await use(approvals, id, later(at))).ok, true);
  assert.equal(
    (await Promise.all(Array.from({ length: 20 }, () => use(approvals, id, later(3))))).every(({ ok }) => ok),
    true,
  );
  assert.deepEqual(await use(approvals, id, later(600)), { ok: false, reason: "used" });
  assert.deepEqual(await approvals.find(call(later(601))), { kind: "none" });
  assert.equal(audit.types().filter((type) => type === "approval.used").length, 23);
});

test("a window has a length that makes sense", async (context) => {
  const { approvals, id } = await held(context);
  for (const forSeconds of [0, -1, 1.5, Number.NaN, 86_401]) {
    await assert.rejects(approvals.grant({ id, by: OWNER, now: NOW, forSeconds }), isProblem("invalid_request"));
  }
});

test("a yes can be taken back until it is used up", async (context) => {
  const { approvals, id } = await granted(context, { forSeconds: 600 });
  await use(approvals, id, later(1));
  await approvals.deny({ id, by: OWNER, why: "changed my mind", now: later(2) });
  assert.deepEqual(await use(approvals, id, later(3)), { ok: false, reason: "denied" });
  await assert.rejects(approvals.grant({ id, by: OWNER, now: later(4) }), isProblem("invalid_request"));
});

test("a quorum of two needs two people", async (context) => {
  const { approvals, id } = await held(context, { quorum: 2 });
  assert.equal((await approvals.grant({ id, by: OWNER, now: NOW })).status, "pending");
  assert.deepEqual(await use(approvals, id), { ok: false, reason: "pending" });
  await assert.rejects(approvals.grant({ id, by: OWNER, now: NOW }), isProblem("invalid_request"));
  assert.equal((await approvals.grant({ id, by: { id: "user:ann" }, now: NOW })).status, "granted");
  assert.equal((await use(approvals, id)).ok, true);
});

test("the requesting agent, or any other, can neither grant nor deny; its user can, unless the rule wants another", async (context) => {
  const ann = testPrincipal({ user: "ann" });
  const { approvals, id } = await held(context, { principal: ann, separate: true });
  for (const by of [
    { id: "x", agent: "dns-bot" },
    { id: "x", agent: "other" },
    { id: "x", client: "key_one" },
    { id: "dns-bot" },
  ]) {
    await assert.rejects(approvals.grant({ id, by, now: NOW }), isProblem("denied"));
    await assert.rejects(approvals.deny({ id, by, why: "x", now: NOW }), isProblem("denied"));
  }
  await assert.rejects(approvals.grant({ id, by: { id: "user:ann", user: "ann" }, now: NOW }), isProblem("denied"));
  assert.equal((await approvals.get(id, NOW))?.status, "pending");
  const { approval } = await approvals.hold(holdRequest({ principal: ann, digest: "e".repeat(64) }));
  assert.equal(
    (await approvals.grant({ id: approval.id, by: { id: "user:ann", user: "ann" }, now: NOW })).status,
    "granted",
  );
});

test("everything survives a restart, and a use is still spent", async (context) => {
  const { store, open, id } = await granted(context);
  await store.reopen();
  let approvals = open();
  assert.equal((await approvals.find(call())).kind, "granted");
  assert.equal((await use(approvals, id)).ok, true);
  await store.reopen();
  approvals = open();
  assert.deepEqual(await use(approvals, id), { ok: false, reason: "used" });
});

test("without evidence nothing is asked or granted, and a use is spent but refused", async (context) => {
  const { approvals, audit, id } = await held(context);
  audit.fail(() => true);
  await assert.rejects(approvals.hold(holdRequest({ digest: "e".repeat(64) })), isProblem("audit_unavailable"));
  assert.deepEqual(await approvals.find(call(NOW, { digest: "e".repeat(64) })), { kind: "none" });
  await assert.rejects(approvals.grant({ id, by: OWNER, now: NOW }), isProblem("audit_unavailable"));
  assert.equal((await approvals.get(id, NOW))?.status, "pending");
  audit.fail(undefined);
  await approvals.grant({ id, by: OWNER, now: NOW });
  audit.fail(() => true);
  await assert.rejects(use(approvals, id), isProblem("audit_unavailable"));
  audit.fail(undefined);
  assert.deepEqual(await use(approvals, id), { ok: false, reason: "used" });
});

test("a denial holds even when it cannot be recorded", async (context) => {
  const { approvals, audit, id } = await granted(context);
  audit.fail(() => true);
  await assert.rejects(approvals.deny({ id, by: OWNER, why: "no", now: NOW }), isProblem("audit_unavailable"));
  audit.fail(undefined);
  assert.deepEqual(await use(approvals, id), { ok: false, reason: "denied" });
});

test("without the store there is no use, and what could not be written down is not spent", async (context) => {
  const { approvals, store, open, id, audit } = await granted(context);
  await store.refuseWrites();
  await assert.rejects(use(approvals, id), isProblem("store_unavailable"));
  assert.equal(audit.types().includes("approval.used"), false);
  await store.reopen();
  assert.equal((await use(open(), id)).ok, true);
});

test("a row edited in the file gives nothing, and is told once as evidence", async (context) => {
  const { approvals, store, audit, id } = await held(context);
  await sql`UPDATE approvals SET status = 'granted', window_until = 'once'`.execute(store.db);
  assert.deepEqual(await approvals.find(call()), { kind: "none" });
  assert.deepEqual(await use(approvals, id), { ok: false, reason: "altered" });
  await assert.rejects(approvals.grant({ id, by: OWNER, now: NOW }), isProblem("store_unavailable"));
  await assert.rejects(approvals.show(id, NOW), isProblem("store_unavailable"));
  assert.equal(await approvals.get(id, NOW), undefined);
  assert.deepEqual((await approvals.list({ now: NOW })).altered, [id]);
  assert.deepEqual(
    audit.events.slice(1).map(({ type, code }) => [type, code]),
    [["approval.denied", "altered"]],
  );
  assert.equal((await approvals.hold(holdRequest())).created, true);
});

test("what is shown is what was asked; a sealed request that was cut off, swapped or moved cannot be granted", async (context) => {
  const { approvals, store, id } = await held(context);
  const { request, preview, separate, message } = await approvals.show(id, NOW);
  assert.deepEqual(
    { request, preview, separate, message },
    {
      request: holdRequest().request,
      preview: { total: 3 },
      separate: false,
      message: holdRequest().message,
    },
  );
  const other = await approvals.hold(holdRequest({ digest: "e".repeat(64), request: { method: "GET" } }));
  const { sealed } = await store.db
    .selectFrom("approvals")
    .select("sealed")
    .where("id", "=", id)
    .executeTakeFirstOrThrow();
  const write = (bytes: Uint8Array, to = id) =>
    store.db.updateTable("approvals").set({ sealed: bytes }).where("id", "=", to).execute();
  const brief = 4 + Buffer.from(sealed).readUInt32BE();
  for (const wrong of [
    sealed.subarray(0, brief),
    sealed.subarray(0, -1),
    Buffer.alloc(0),
    Buffer.alloc(3),
    Buffer.alloc(4, 255),
  ]) {
    await write(wrong);
    await assert.rejects(approvals.grant({ id, by: OWNER, now: NOW }), isProblem("store_unavailable"));
    await assert.rejects(approvals.show(id, NOW), isProblem("store_unavailable"));
  }
  await write(sealed, other.approval.id);
  await assert.rejects(approvals.grant({ id: other.approval.id, by: OWNER, now: NOW }), isProblem("store_unavailable"));
  await write(sealed);
  assert.equal((await approvals.grant({ id, by: OWNER, now: NOW })).status, "granted");
});

test("a request's content lies sealed in the state's file", async (context) => {
  const { approvals, store } = testApprovals(context);
  await approvals.hold(holdRequest({ request: { body: "very-private-words" }, preview: { note: "as-private-words" } }));
  await store.reopen();
  assert.equal(readFileSync(store.path).includes("private-words"), false);
});

test("a large request is kept while the question is open, and only its preview after that", async (context) => {
  const { approvals, id } = await held(context, { request: { body: "x".repeat(100_000) } });
  assert.notEqual((await approvals.show(id, NOW)).request, undefined);
  await approvals.deny({ id, by: OWNER, why: "no", now: NOW });
  const shown = await approvals.show(id, NOW);
  assert.equal(shown.request, undefined);
  assert.deepEqual(shown.preview, { total: 3 });
});

test("what nobody could read is not asked", async (context) => {
  const { approvals, audit } = testApprovals(context);
  const request = { body: "x".repeat(2 * 1_024 * 1_024) };
  await assert.rejects(approvals.hold(holdRequest({ request })), isProblem("too_large"));
  assert.deepEqual(audit.events, []);
});

test("an agent has a limited number of open questions; others are not held up by it", async (context) => {
  const { approvals } = testApprovals(context);
  const ask = (n: number, change: Partial<HoldRequest> = {}) =>
    approvals.hold(holdRequest({ digest: `${n}`, ...change }));
  await Promise.all(Array.from({ length: 100 }, (_, n) => ask(n)));
  await assert.rejects(ask(100), isProblem("rate_limited"));
  assert.equal((await ask(5)).created, false, "a repetition is no new question");
  assert.equal((await ask(100, { principal: testPrincipal({ agent: "other" }) })).created, true);
  assert.equal((await ask(100, { now: later(901) })).created, true);
});

test("a list shows previews, settles what has lapsed, and can be had while the evidence cannot be written", async (context) => {
  const { approvals, audit, id } = await held(context);
  const { approval } = await approvals.hold(holdRequest({ digest: "e".repeat(64), now: later(100) }));
  audit.fail(() => true);
  const statuses = ["pending"] as const;
  assert.deepEqual(
    (await approvals.list({ statuses, now: later(950) })).approvals.map((one) => one.id),
    [approval.id],
  );
  audit.fail(undefined);
  const { approvals: all } = await approvals.list({ now: later(951) });
  assert.deepEqual(
    all.map((one) => [one.id, one.status, one.preview]),
    [
      [approval.id, "pending", { total: 3 }],
      [id, "expired", { total: 3 }],
    ],
  );
  assert.deepEqual(audit.types(), ["approval.requested", "approval.requested", "approval.expired"]);
});

test("what lapsed a week ago is forgotten", async (context) => {
  const { approvals, store, open, id } = await held(context);
  await open().sweep(later(7 * 86_400));
  assert.equal((await approvals.get(id, NOW))?.status, "expired");
  await open().sweep(later(8 * 86_400));
  assert.equal(await approvals.get(id, NOW), undefined);
  assert.deepEqual(await store.db.selectFrom("approvals").selectAll().execute(), []);
});

test("who waits is woken by the answer", async (context) => {
  const { approvals, id } = await held(context);
  const clock = () => NOW;
  const keepAlive = setTimeout(() => {}, 60_000);
  context.after(() => clearTimeout(keepAlive));
  const waiting = approvals.wait(id, { ms: 60_000, clock });
  await approvals.grant({ id, by: OWNER, now: NOW });
  assert.equal((await waiting)?.status, "granted");
  assert.equal((await approvals.wait(id, { ms: 60_000, clock }))?.status, "granted", "no wait for what is answered");
  assert.equal(await approvals.wait("apr_none", { ms: 60_000, clock }), undefined);
});

test("a wait ends with its time, or when its caller leaves", async (context) => {
  const { approvals, id } = await held(context);
  const clock = () => NOW;
  const keepAlive = setTimeout(() => {}, 60_000);
  context.after(() => clearTimeout(keepAlive));
  assert.equal((await approvals.wait(id, { ms: 1, clock }))?.status, "pending");
  const caller = new AbortController();
  const waiting = approvals.wait(id, { ms: 60_000, clock, signal: caller.signal });
  caller.abort();
  assert.equal((await waiting)?.status, "pending");
});

test("an id of any form is answered, and is printed without what could deceive", async (context) => {
  const { approvals } = testApprovals(context);
  for (const id of ["", "x".repeat(100_000), "apr_\n\u202e`", "'; DROP TABLE approvals"]) {
    await assert.rejects(approvals.show(id, NOW), (error) => {
      assert.ok(error instanceof Problem && error.code === "not_found");
      assert.match(error.message, /^there is no approval `[\x20-\x7e]{0,64}`$/);
      return true;
    });
  }
});
