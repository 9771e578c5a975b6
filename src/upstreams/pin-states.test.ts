import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { acceptPin, type PinRecord, type Sighting, seePin } from "./pin-states.ts";

const NOON = new Date("2026-03-01T12:00:00.000Z");
const sighting = (digest: string, changes: Partial<Sighting> = {}): Sighting => ({
  kind: "tool",
  name: "echo",
  definition: { digest, text: `"${digest}"` },
  flags: [],
  occasion: "later",
  ...changes,
});
const see = (record: PinRecord | undefined, digest: string, changes: Partial<Sighting> = {}) =>
  seePin(record, sighting(digest, changes), NOON);
const FIRST = { occasion: "first" } as const;

describe("seePin", () => {
  test("the first look at a service is trusted", () => {
    const { record, change } = see(undefined, "A", FIRST);
    assert.equal(record.state, "accepted");
    assert.equal(change, "pinned");
    assert.equal(see(record, "A").change, undefined);
  });
  test("the first look is not trusted with a hard flag, and is with a soft one", () => {
    const flag = { flag: "hidden_characters", detail: "" } as const;
    assert.equal(see(undefined, "A", { ...FIRST, flags: [{ ...flag, hard: true }] }).record.why, "flagged");
    assert.equal(see(undefined, "A", { ...FIRST, flags: [{ ...flag, hard: false }] }).record.state, "accepted");
  });
  for (const [occasion, why] of [
    ["later", "new"],
    ["renamed", "renamed"],
    ["damaged", "damaged"],
  ] as const)
    test(`an item that is seen first when the occasion is ${occasion} is held`, () => {
      const { record, change } = see(undefined, "A", { occasion });
      assert.deepEqual([record.state, record.why, record.accepted, change], ["held", why, undefined, "held"]);
    });
  test("what is held for another reason keeps it when it changes", () => {
    for (const [occasion, why] of [
      ["later", "new"],
      ["renamed", "renamed"],
      ["damaged", "damaged"],
    ] as const) {
      assert.equal(see(see(undefined, "A", { occasion }).record, "B").record.why, why);
    }
  });
  test("A, B, A stays held until a person looks", () => {
    const a = see(undefined, "A", FIRST).record;
    const b = see(a, "B");
    assert.deepEqual([b.record.state, b.record.why, b.change], ["held", "changed", "held"]);
    const again = see(b.record, "A");
    assert.deepEqual([again.record.state, again.change], ["held", "held"]);
    assert.deepEqual([b.record.between, again.record.between?.digest], [undefined, "B"]);
    assert.equal(see(again.record, "B").record.between, undefined);
    assert.equal(see(again.record, "A").change, undefined);
    assert.equal(see(acceptPin(again.record, NOON), "A").record.state, "accepted");
  });

  test("law: an item may be used exactly when nothing else was seen since it was trusted", () => {
    const step = fc.oneof(
      fc.record({ act: fc.constant("see" as const), digest: fc.constantFrom("A", "B", "C") }),
      fc.record({ act: fc.constant("accept" as const) }),
    );
    fc.assert(
      fc.property(
        fc.constantFrom<Sighting["occasion"]>("first", "later", "renamed", "damaged"),
        fc.array(step),
        (occasion, steps) => {
          let record = see(undefined, "A", { occasion }).record;
          let trusted = occasion === "first" ? "A" : undefined;
          let seen = "A";
          for (const one of steps) {
            if (one.act === "accept") {
              record = acceptPin(record, NOON);
              trusted = seen;
            } else {
              record = see(record, one.digest).record;
              seen = one.digest;
              if (trusted !== seen) trusted = undefined;
            }
            assert.equal(record.state === "accepted", trusted !== undefined);
            if (record.state === "accepted") assert.equal(record.accepted?.digest, record.seen.digest);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
