import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OpenCalls } from "./open-calls.ts";

const call = (seq: number) => ({
  seq,
  request_id: `req_${seq}`,
  agent: null,
  tenant: null,
  user: null,
  service: null,
  operation: null,
});

test("whatever comes and goes in whatever order, the calls that are left are there, oldest first", () => {
  const steps = fc.array(fc.record({ remove: fc.boolean(), pick: fc.nat(), tied: fc.boolean() }), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (list) => {
      const open = new OpenCalls();
      const left = new Map<number, { slot: number }>();
      for (const [seq, { remove, pick, tied }] of list.entries()) {
        const known = [...left.keys()];
        const gone = known[pick % known.length];
        if (remove && gone !== undefined) {
          open.remove(`req_${gone}`, tied ? left.get(gone) : undefined);
          assert.equal(left.get(gone)!.slot, -1);
          assert.equal(open.find(`req_${gone}`, left.get(gone)), undefined);
          left.delete(gone);
        } else {
          const tie = { slot: -1 };
          left.set(seq, tie);
          open.add(call(seq), tie);
        }
        for (const [one, tie] of left) assert.equal(open.find(`req_${one}`, tie)?.seq, one);
      }
      assert.deepEqual(
        [...open].map(({ seq }) => seq),
        [...left.keys()],
      );
    }),
    { numRuns: 200 },
  );
});

test("an outcome without its decision takes nothing away", () => {
  const open = new OpenCalls();
  open.add(call(1));
  open.remove("req_2");
  open.remove("req_1", { slot: -1 });
  assert.equal([...open].length, 1);
});
