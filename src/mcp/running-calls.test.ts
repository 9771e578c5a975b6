import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RunningCalls } from "./running-calls.ts";

test("law: the calls under way are those of a Map", () => {
  const step = fc.record({
    id: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.constantFrom("0", "a")),
    begins: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const calls = new RunningCalls();
      const model = new Map<number | string, AbortController>();
      for (const { id, begins } of steps) {
        if (begins && !model.has(id)) {
          const controller = new AbortController();
          calls.set(id, controller);
          model.set(id, controller);
        } else if (!begins) {
          calls.delete(id);
          model.delete(id);
        }
        assert.equal(calls.size, model.size);
        assert.equal(calls.has(id), model.has(id));
        assert.equal(calls.get(id), model.get(id));
        assert.deepEqual(new Set(calls.values()), new Set(model.values()));
      }
    }),
  );
});
