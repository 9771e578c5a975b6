import assert from "node:assert/strict";
import { test } from "node:test";
import { renewalAtMs, tokenLease } from "./token-lease.ts";

const NOON = new Date("2026-06-01T12:00:00Z");

test("a token that is too short to be found in an answer is leased as such", () => {
  const of = (token: string) => tokenLease(token, { version: "one", expiresAt: NOON }).short;
  assert.deepEqual([of("1234567"), of("12345678")], [true, false]);
});

test("a token is renewed half a minute before it ends, or after half of a short life", () => {
  const afterMs = (lifeSeconds: number) => renewalAtMs(lifeSeconds, NOON) - NOON.getTime();
  assert.deepEqual([afterMs(600), afterMs(60), afterMs(10)], [570_000, 30_000, 5_000]);
});
