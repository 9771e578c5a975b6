import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type KnownPairing, mergeOrigins, type Pairing, pairingKey, planBindings } from "./plan-bindings.ts";

const A: Pairing = { ref: "local:a", service: "api", origin: "https://api.example" };
const bound = (pairing: Pairing, change: Partial<KnownPairing> = {}): KnownPairing => ({
  ...pairing,
  state: "bound",
  authentic: true,
  ...change,
});
const plan = (
  known: readonly KnownPairing[],
  pairings: readonly Pairing[],
  intact = true,
  additions: "bind" | "hold" = "bind",
) => planBindings({ known, pairings, intact, additions });
const whyHeld = (...args: Parameters<typeof plan>) =>
  plan(...args).held.map(({ service, why }) => `${service}: ${why}`);

describe("planBindings", () => {
  test("a pairing never seen is bound, also beside others of the same secret", () => {
    assert.deepEqual(plan([], [A]).bind, [A]);
    const second = { ...A, service: "second", origin: "https://second.example" };
    assert.deepEqual(plan([bound(A)], [A, second]).bind, [second]);
    assert.deepEqual(plan([bound(A)], [A, second]).usable, [A, second]);
  });

  test("the hosts of one server are bound together: one less is no change, one more is", () => {
    const at = (...hosts: string[]) => mergeOrigins(hosts.map((host) => ({ ...A, origin: `https://${host}.example` })));
    const [both] = at("b", "a");
    assert.deepEqual(at("a", "b", "a"), [both]);
    assert.equal(both?.origin, "https://a.example https://b.example");
    assert.deepEqual(plan([bound(both!)], at("a")).usable, at("a"));
    assert.deepEqual(whyHeld([bound(both!)], at("a", "b", "c")), ["api: origin_changed"]);
    assert.deepEqual(
      whyHeld(
        at("a").map((each) => bound(each)),
        at("a", "b"),
      ),
      ["api: origin_changed"],
    );
  });

  const held: Readonly<Record<string, readonly [Parameters<typeof plan>, string]>> = {
    "a changed origin": [[[bound(A)], [{ ...A, origin: "https://evil.example" }]], "api: origin_changed"],
    "a renamed service": [[[bound(A)], [{ ...A, service: "new" }]], "new: renamed"],
    "a renamed service at the same time as another origin": [
      [[bound(A)], [{ ...A, service: "new", origin: "https://evil.example" }]],
      "new: renamed",
    ],
    "a secret that moved to a service that was there before": [
      [
        [bound(A), bound({ ...A, ref: "local:b", service: "other" })],
        [
          { ...A, service: "other" },
          { ...A, ref: "local:c" },
        ],
      ],
      "other: renamed",
    ],
    "an edited row": [[[bound(A, { authentic: false })], [A]], "api: damaged"],
    "a held row": [[[bound(A, { state: "held" })], [A]], "api: unconfirmed"],
    "anything new in a record that is not whole": [[[], [A], false], "api: damaged"],
    "anything new in a file that was not accepted": [[[], [A], true, "hold"], "api: unconfirmed"],
  };
  for (const [name, [args, expected]] of Object.entries(held)) {
    test(`holds ${name}`, () => {
      const { bind, usable } = plan(...args);
      assert.deepEqual(whyHeld(...args), [expected]);
      assert.ok(!usable.some(({ service }) => expected.startsWith(`${service}:`)));
      assert.ok(!bind.some(({ service }) => expected.startsWith(`${service}:`)));
    });
  }

  test("a known pairing keeps working in a record that is not whole", () => {
    assert.deepEqual(plan([bound(A)], [A], false).usable, [A]);
  });

  const pairing = fc.record({
    ref: fc.constantFrom("local:a", "local:b"),
    service: fc.constantFrom("s", "t", "u"),
    origin: fc.constantFrom("https://1", "https://2"),
  });
  const unique = { selector: pairingKey, maxLength: 6 };
  const file = fc.uniqueArray(pairing, unique);
  const record = fc.uniqueArray(
    pairing.chain((one) =>
      fc
        .record({ state: fc.constantFrom("bound" as const, "held" as const), authentic: fc.boolean() })
        .map((rest) => ({ ...one, ...rest })),
    ),
    unique,
  );

  test("law: each pairing is usable or held, never both; what is bound is usable, what goes on record as held is held", () => {
    fc.assert(
      fc.property(
        record,
        file,
        fc.boolean(),
        fc.constantFrom("bind" as const, "hold" as const),
        (known, pairings, intact, additions) => {
          const { usable, bind, held, hold } = planBindings({ known, pairings, intact, additions });
          assert.deepEqual([...usable, ...held].map(pairingKey).sort(), pairings.map(pairingKey).sort());
          assert.ok(bind.every((one) => usable.includes(one)) && hold.every((one) => held.includes(one)));
          if (!intact || additions === "hold") assert.deepEqual(bind, []);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("law: a secret is never usable at an origin at which it was not bound, unless the pairing is new and none was given up", () => {
    fc.assert(
      fc.property(record, file, fc.boolean(), (known, pairings, intact) => {
        for (const one of planBindings({ known, pairings, intact, additions: "bind" }).usable) {
          const row = known.find((other) => pairingKey(other) === pairingKey(one));
          if (row !== undefined) {
            assert.ok(row.authentic && row.state === "bound" && row.origin === one.origin);
            continue;
          }
          const given = known.filter(({ ref, state }) => ref === one.ref && state === "bound").map(pairingKey);
          assert.ok(intact && given.every((key) => pairings.some((other) => pairingKey(other) === key)));
        }
      }),
      { numRuns: 500 },
    );
  });
});
