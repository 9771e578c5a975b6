import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import { memoryAudit, NOON } from "./home.testing.ts";
import { createLeases, LEASE_TTL_MS } from "./leases.ts";
import type { SecretReading } from "./secret-reader.ts";

const PAIRING = { ref: "local:a", service: "api", origin: "https://api.example" };
const after = (ms: number) => new Date(NOON.getTime() + ms);
const reading = (text: string, expiresAt?: Date): SecretReading => ({
  secret: new Secret(text),
  version: text,
  expiresAt,
  short: false,
});

/** Leases whose readings count: each gives the number of the reading. */
function counted(change: (count: number) => SecretReading | Promise<SecretReading> = (count) => reading(`v${count}`)) {
  const audit = memoryAudit();
  const seen = { readings: 0 };
  const leases = createLeases({
    audit,
    read: async () => {
      seen.readings += 1;
      return await change(seen.readings);
    },
  });
  return { leases, audit, seen };
}

describe("createLeases", () => {
  test("reads once, records once, then answers at once with the same lease", async () => {
    const { leases, audit, seen } = counted();
    const lease = await leases.get(PAIRING, NOON);
    assert.equal(leases.get(PAIRING, after(LEASE_TTL_MS - 1)), lease);
    assert.deepEqual([seen.readings, audit.events.length], [1, 1]);
    assert.deepEqual(audit.events[0], {
      type: "secret.read",
      service: "api",
      data: { secret: "local:a", version: "v1", origin: "https://api.example" },
    });
  });

  test("ends after its time, at the secret's own expiry, and when the clock is set back", async () => {
    const { leases } = counted();
    const first = await leases.get(PAIRING, NOON);
    assert.deepEqual(first.expiresAt, after(LEASE_TTL_MS));
    const second = await leases.get(PAIRING, after(LEASE_TTL_MS));
    assert.notEqual(second, first);
    assert.notEqual(await leases.get(PAIRING, NOON), second);
    const expiring = counted(() => reading("v", after(10))).leases;
    assert.deepEqual((await expiring.get(PAIRING, NOON)).expiresAt, after(10));
    assert.ok(expiring.get(PAIRING, after(10)) instanceof Promise);
  });

  test("parallel calls share one reading", async () => {
    const { leases, seen } = counted();
    const all = await Promise.all(Array.from({ length: 100 }, () => leases.get(PAIRING, NOON)));
    assert.equal(new Set(all).size, 1);
    assert.equal(seen.readings, 1);
  });

  test("without evidence there is no lease, and nothing is kept", async () => {
    const { leases, audit } = counted();
    audit.failing = true;
    await assert.rejects(
      async () => leases.get(PAIRING, NOON),
      (error) => error instanceof Problem && error.code === "audit_unavailable",
    );
    audit.failing = false;
    assert.equal((await leases.get(PAIRING, NOON)).version, "v2");
  });

  test("each service and origin has a lease of its own", async () => {
    const { leases, seen } = counted();
    await leases.get(PAIRING, NOON);
    await leases.get({ ...PAIRING, service: "other" }, NOON);
    await leases.get({ ...PAIRING, origin: "https://other.example" }, NOON);
    assert.equal(seen.readings, 3);
  });

  test("a drop ends what matches and nothing else", async () => {
    const { leases, seen } = counted();
    const kept = await leases.get(PAIRING, NOON);
    await leases.get({ ...PAIRING, service: "other" }, NOON);
    assert.equal(
      leases.drop(({ service }) => service === "other"),
      1,
    );
    assert.equal(leases.get(PAIRING, NOON), kept);
    await leases.get({ ...PAIRING, service: "other" }, NOON);
    assert.equal(seen.readings, 3);
  });

  test("what was read before a drop is not handed out after it", async () => {
    const gate = Promise.withResolvers<void>();
    const { leases } = counted(async (count) => {
      if (count === 1) await gate.promise;
      return reading(`v${count}`);
    });
    const waiting = leases.get(PAIRING, NOON);
    leases.drop(() => true);
    gate.resolve();
    assert.equal((await waiting).version, "v2");
  });

  test("a secret that is dropped during each reading is not handed out", async () => {
    const { leases } = counted((count) => {
      leases.drop(() => true);
      return reading(`v${count}`);
    });
    await assert.rejects(
      async () => leases.get(PAIRING, NOON),
      (error) => error instanceof Problem && error.code === "secret_unavailable",
    );
  });
});
