import assert from "node:assert/strict";
import { test } from "node:test";
import { createAuthThrottle } from "./auth-throttle.ts";

const NOW = new Date("2026-03-01T10:00:00Z");
const later = (ms: number) => new Date(NOW.getTime() + ms);

function exhaust(throttle: ReturnType<typeof createAuthThrottle>, address: string) {
  for (let count = 0; count < 600; count++) assert.deepEqual(throttle.failed(address, NOW), { limited: false });
}

test("after 600 failures a minute an address is told to wait, and told to record it once", () => {
  const throttle = createAuthThrottle();
  exhaust(throttle, "192.0.2.1");
  assert.deepEqual(throttle.failed("192.0.2.1", NOW), { limited: true, retryAfterSeconds: 60, first: true });
  assert.deepEqual(throttle.failed("192.0.2.1", later(59_500)), { limited: true, retryAfterSeconds: 1, first: false });
  assert.deepEqual(throttle.failed("192.0.2.2", NOW), { limited: false });
  assert.deepEqual(throttle.failed("192.0.2.1", later(60_000)), { limited: false });
});

test("an IPv6 address counts by its /64, a mapped one as the IPv4 address that it is", () => {
  const throttle = createAuthThrottle();
  exhaust(throttle, "2001:db8:1:2::1");
  assert.equal(throttle.failed("2001:db8:1:2:ffff::9", NOW).limited, true);
  assert.equal(throttle.failed("2001:db8:1:3::1", NOW).limited, false);
  exhaust(throttle, "::ffff:192.0.2.7");
  assert.equal(throttle.failed("192.0.2.7", NOW).limited, true);
  exhaust(throttle, "fe80::1%eth0");
  assert.equal(throttle.failed("fe80::2%eth1", NOW).limited, true);
});

test("what is no address counts as itself", () => {
  const throttle = createAuthThrottle();
  exhaust(throttle, "unix");
  assert.equal(throttle.failed("unix", NOW).limited, true);
});

test("a clock set back does not lock an address out for long", () => {
  const throttle = createAuthThrottle();
  exhaust(throttle, "192.0.2.1");
  assert.equal(throttle.failed("192.0.2.1", later(-3_600_000)).limited, false);
});

test("memory is bounded: the address that failed longest ago makes room", () => {
  const throttle = createAuthThrottle();
  exhaust(throttle, "192.0.2.1");
  for (let count = 0; count < 9_999; count++) throttle.failed(`10.${count >> 8}.${count & 255}.1`, NOW);
  assert.equal(throttle.failed("192.0.2.1", NOW).limited, true, "still known, and now the latest");
  for (let count = 0; count < 10_000; count++) throttle.failed(`11.${count >> 8}.${count & 255}.1`, NOW);
  assert.equal(throttle.failed("192.0.2.1", NOW).limited, false, "forgotten");
});
