import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Approval } from "./approval.ts";
import { pendingApproval, sayNo, sayYes, useOnce } from "./approval-states.ts";
import type { ApprovalRecord, ApprovalStore } from "./approval-store.ts";
import { holdRequest, later, NOW, testPrincipal } from "./hold-request.testing.ts";

const SEALED = Buffer.from("sealed");

function pending(id: string, change: Parameters<typeof holdRequest>[0] = {}): Approval {
  return pendingApproval(`apr_${id}`, holdRequest(change));
}

async function read(store: ApprovalStore, id: string): Promise<ApprovalRecord> {
  const stored = await store.find(id);
  assert.ok(stored?.ok, id);
  return stored.record;
}

/** What every place for approvals must do, whatever it is made of. */
export function describeApprovalStore(name: string, makeStore: (context: TestContext) => Promise<ApprovalStore>): void {
  describe(`approval store: ${name}`, () => {
    test("gives back what it was given", async (context) => {
      const store = await makeStore(context);
      const asked = pending("a", { principal: testPrincipal({ user: "ann" }), operation: undefined, quorum: 2 });
      assert.deepEqual(await store.hold(asked, SEALED), { kind: "held" });
      const { version, ...record } = await read(store, "apr_a");
      assert.deepEqual(record, asked);
      assert.ok(version.length > 0);
      assert.deepEqual(Buffer.from((await store.sealedOf("apr_a")) ?? []), SEALED);
      const one = sayYes(asked, { by: "owner", at: later(1), forSeconds: 60 }, "fine");
      const two = useOnce(sayYes(one, { by: "user:bob", at: later(2), forSeconds: 90 }, undefined), later(3));
      assert.equal(await store.replace(await read(store, "apr_a"), two, Buffer.from("less")), true);
      const { version: _, ...changed } = await read(store, "apr_a");
      assert.deepEqual(changed, two);
      assert.deepEqual(Buffer.from((await store.sealedOf("apr_a")) ?? []), Buffer.from("less"));
    });

    test("has nothing of an id that it was not given", async (context) => {
      const store = await makeStore(context);
      assert.equal(await store.find("apr_none"), undefined);
      assert.equal(await store.sealedOf("apr_none"), undefined);
    });

    test("asks one question once, of however many holds at a time", async (context) => {
      const store = await makeStore(context);
      const held = await Promise.all(Array.from({ length: 20 }, (_, n) => store.hold(pending(`${n}`), SEALED)));
      assert.equal(held.filter(({ kind }) => kind === "held").length, 1);
      assert.equal((await store.findSame("d".repeat(64))).length, 1);
    });

    test("another requester, basis or call is another question, and so is one whose time is over", async (context) => {
      const store = await makeStore(context);
      const held = async (approval: Approval) => (await store.hold(approval, SEALED)).kind;
      assert.equal(await held(pending("a")), "held");
      assert.equal(await held(pending("b", { principal: testPrincipal({ user: "ann" }) })), "held");
      assert.equal(await held(pending("c", { basis: "other" })), "held");
      assert.equal(await held(pending("d", { digest: "other" })), "held");
      assert.equal(await held(pending("e", { now: later(899) })), "pending");
      assert.equal(await held(pending("f", { now: later(900) })), "held");
    });

    test("of any number of changes at a time exactly one is made", async (context) => {
      const store = await makeStore(context);
      await store.hold(pending("a"), SEALED);
      const record = await read(store, "apr_a");
      const changes = Array.from({ length: 50 }, (_, n) =>
        store.replace(record, sayNo(record, { by: `user:${n}`, at: NOW, why: "no" })),
      );
      assert.equal((await Promise.all(changes)).filter(Boolean).length, 1);
      assert.equal(
        await store.replace(record, record),
        false,
        "what was read before a change cannot be changed any more",
      );
    });

    test("lists by status, and finds the same call, newest first", async (context) => {
      const store = await makeStore(context);
      for (const [n, id] of ["a", "b", "c"].entries()) {
        await store.hold(pending(id, { now: later(n), principal: testPrincipal({ user: id }) }), SEALED);
      }
      const record = await read(store, "apr_b");
      await store.replace(record, sayNo(record, { by: "owner", at: later(9), why: "no" }));
      const ids = (rows: Awaited<ReturnType<ApprovalStore["list"]>>) => rows.map((row) => row.ok && row.record.id);
      assert.deepEqual(ids(await store.list({ statuses: ["pending"], limit: 9 })), ["apr_c", "apr_a"]);
      assert.deepEqual(ids(await store.list({ statuses: ["pending", "denied"], limit: 2 })), ["apr_c", "apr_b"]);
      assert.deepEqual(ids(await store.findSame("d".repeat(64))), ["apr_c", "apr_b", "apr_a"]);
    });

    test("counts what is open, finds what has lapsed, and forgets on demand", async (context) => {
      const store = await makeStore(context);
      await store.hold(pending("a", { expiresSeconds: 10 }), SEALED);
      await store.hold(pending("b", { digest: "other", expiresSeconds: 20 }), SEALED);
      await store.hold(pending("c", { digest: "third", principal: testPrincipal({ agent: "else" }) }), SEALED);
      const lapsedAt = async (at: Date) => (await store.lapsed(at, 9)).map((row) => row.ok && row.record.id);
      assert.equal(await store.countPending("dns-bot", later(9)), 2);
      assert.equal(await store.countPending("dns-bot", later(10)), 1);
      assert.deepEqual(await lapsedAt(later(9)), []);
      assert.deepEqual(await lapsedAt(later(20)), ["apr_a", "apr_b"]);
      await store.prune(later(20));
      assert.equal(await store.find("apr_a"), undefined);
      assert.equal((await store.find("apr_b"))?.ok, true);
    });
  });
}
