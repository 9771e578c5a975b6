import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import fc from "fast-check";
import { clientAddress, trustedProxies } from "./client-address.ts";

const TRUSTED = trustedProxies(["10.0.0.0/8", "fd00::/8", "192.0.2.7"]);

function address(peer: string | undefined, forwarded: string | undefined, trusted = TRUSTED): string {
  const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
  return clientAddress({ socket: { remoteAddress: peer }, headers } as unknown as IncomingMessage, trusted);
}

const CASES: Record<string, readonly [string | undefined, string | undefined, string]> = {
  "a peer that nobody named speaks for itself": ["203.0.113.9", "127.0.0.1", "203.0.113.9"],
  "a proxy without the header": ["10.0.0.1", undefined, "10.0.0.1"],
  "a proxy names its peer": ["10.0.0.1", "203.0.113.9", "203.0.113.9"],
  "what the client put in front does not count": ["10.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9"],
  "a chain of proxies": ["10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.2, 192.0.2.7", "203.0.113.9"],
  "a proxy over IPv6": ["fd00::1", "2001:db8::5", "2001:db8::5"],
  "a mapped address is its IPv4 one": ["::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"],
  "the nearest hop is no address": ["10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"],
  "an address with a port is none": ["10.0.0.1", "203.0.113.9:1234", "10.0.0.1"],
  "an empty header": ["10.0.0.1", "", "10.0.0.1"],
  "only proxies": ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.1"],
  "a peer that is gone": [undefined, "203.0.113.9", ""],
};

for (const [what, [peer, forwarded, expected]] of Object.entries(CASES)) {
  test(what, () => assert.equal(address(peer, forwarded), expected));
}

test("without trusted proxies the header means nothing", () => {
  assert.equal(address("10.0.0.1", "203.0.113.9", trustedProxies([])), "10.0.0.1");
});

test("law: whatever a client writes before the proxy's own entry, its address stays", () => {
  fc.assert(
    fc.property(fc.string(), (written) => {
      assert.equal(address("10.0.0.1", `${written}, 203.0.113.9`), "203.0.113.9");
      assert.equal(address("203.0.113.9", written), "203.0.113.9");
    }),
  );
});
