import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NOON, principal } from "../policy/policy.testing.ts";
import { createKeyring } from "../vault/keyring.ts";
import { createRequestStates, type StateOwner } from "./request-state.ts";

const states = createRequestStates(createKeyring({ homeId: "h", homeKey: Buffer.alloc(32, 1) }));
const OWNER: StateOwner = {
  principal: principal(),
  service: "repo",
  method: "tools/call",
  name: "get",
  arguments: { a: 1 },
};

test("law: a state is opened for whom and what it was made, unchanged", () => {
  fc.assert(
    fc.property(fc.option(fc.string(), { nil: undefined }), (state) => {
      assert.deepEqual(states.open(OWNER, states.seal(OWNER, state, NOON)!, NOON), { state });
    }),
    { numRuns: 50 },
  );
});

test("law: no other text opens", () => {
  const sealed = states.seal(OWNER, "state", NOON)!;
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.stringMatching(/^[A-Za-z0-9_-]$/), (at, sign) => {
      const changed = sealed.slice(0, at) + sign + sealed.slice(at + 1);
      if (changed !== sealed) assert.equal(states.open(OWNER, changed, NOON), undefined);
    }),
    { numRuns: 200 },
  );
  for (const text of ["", " ", `${sealed}=`, ` ${sealed}`, sealed.slice(1)]) {
    assert.equal(states.open(OWNER, text, NOON), undefined);
  }
});

test("another caller, service, method, name, argument or home is another call", () => {
  const sealed = states.seal(OWNER, "state", NOON)!;
  const others: Partial<StateOwner>[] = [
    { principal: principal({ agent: "other" }) },
    { principal: principal({ client: "key_2" }) },
    { principal: principal({ tenant: "t" }) },
    { principal: principal({ user: "u" }) },
    { service: "other" },
    { method: "prompts/get" },
    { name: "set" },
    { arguments: { a: 2 } },
  ];
  for (const other of others) assert.equal(states.open({ ...OWNER, ...other }, sealed, NOON), undefined);
  const elsewhere = createRequestStates(createKeyring({ homeId: "i", homeKey: Buffer.alloc(32, 1) }));
  assert.equal(elsewhere.open(OWNER, sealed, NOON), undefined);
});

test("a state is good for ten minutes, and none is made of what is too long", () => {
  const sealed = states.seal(OWNER, "state", NOON)!;
  assert.ok(states.open(OWNER, sealed, new Date(NOON.getTime() + 600_000)));
  assert.equal(states.open(OWNER, sealed, new Date(NOON.getTime() + 600_001)), undefined);
  assert.equal(states.seal(OWNER, "x".repeat(65_537), NOON), undefined);
});
