import assert from "node:assert/strict";
import { test } from "node:test";
import { createIssuerKeys } from "./issuer-keys.ts";
import { issuerConfig } from "./workload.testing.ts";

const NOW = new Date("2026-03-01T10:00:00Z");
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);
const KEYS = { keys: [{ kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] };

function setUp(answer: () => unknown = () => KEYS) {
  let fetched = 0;
  const keys = createIssuerKeys(async () => {
    fetched += 1;
    return Buffer.from(JSON.stringify(answer()));
  });
  return { keys, fetched: () => fetched, issuer: issuerConfig() };
}

test("keys are fetched once for all who ask, and again when they are old", async () => {
  const { keys, fetched, issuer } = setUp();
  await Promise.all([keys.current(issuer, NOW), keys.current(issuer, NOW), keys.renewed(issuer, NOW)]);
  await keys.current(issuer, later(599));
  assert.equal(fetched(), 1);
  await keys.current(issuer, later(600));
  assert.equal(fetched(), 2);
});

test("unknown keys renew them, though not at every token", async () => {
  const { keys, fetched, issuer } = setUp();
  await keys.current(issuer, NOW);
  for (let i = 0; i < 29; i++) await keys.renewed(issuer, later(i));
  assert.equal(fetched(), 1);
  for (let i = 0; i < 10; i++) await keys.renewed(issuer, later(30));
  assert.equal(fetched(), 2);
});

test("an issuer that cannot be reached: the last keys for a day, then none; one attempt in half a minute", async () => {
  let broken = false;
  const { keys, fetched, issuer } = setUp(() => {
    if (broken) throw new Error("unreachable");
    return KEYS;
  });
  await keys.current(issuer, NOW);
  broken = true;
  const first = await keys.current(issuer, later(600));
  assert.equal(first, await keys.current(issuer, later(601)));
  assert.equal(fetched(), 2);
  await assert.rejects(keys.current(issuer, later(86_401)));
  await assert.rejects(keys.current(issuer, later(86_402)));
  assert.equal(fetched(), 3);
});

test("what is no set of keys lets nobody in", async () => {
  const secret = { kty: "oct", k: "AAAA" };
  for (const answer of [null, [], {}, { keys: [] }, { keys: "x" }, { keys: Array(101).fill(KEYS.keys[0]) }]) {
    const { keys, issuer } = setUp(() => answer);
    await assert.rejects(keys.current(issuer, NOW));
  }
  const { keys, issuer } = setUp(() => ({ keys: [secret, ...KEYS.keys] }));
  const found = await keys.current(issuer, NOW);
  await assert.rejects(async () => found({ alg: "HS256" }, { payload: "", signature: "" }));
});
