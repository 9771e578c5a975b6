import assert from "node:assert/strict";
import { test } from "node:test";
import { compileNetworks, parseAddress } from "./network.ts";

function contains(blocks: readonly string[], ip: string): boolean {
  return compileNetworks(blocks).networks.contains(parseAddress(ip));
}

test("an address is in the blocks that hold it, in either notation", () => {
  assert.equal(contains(["127.0.0.0/8"], "127.1.2.3"), true);
  assert.equal(contains(["127.0.0.0/8"], "::ffff:127.0.0.1"), true);
  assert.equal(contains(["::ffff:10.0.0.0/104"], "10.9.9.9"), true);
  assert.equal(contains(["10.0.0.5"], "10.0.0.5"), true);
  assert.equal(contains(["fd00::/8"], "fd12::1%eth0"), true);
  assert.equal(contains(["10.0.0.0/8"], "11.0.0.1"), false);
  assert.equal(contains(["10.0.0.0/8"], "fd12::1"), false);
  assert.equal(contains(["::/0"], "10.0.0.1"), false);
});

test("the local socket is loopback", () => {
  assert.equal(contains(["127.0.0.0/8"], "unix"), true);
  assert.equal(contains(["10.0.0.0/8"], "unix"), false);
});

test("what is not an address is in no network", () => {
  for (const ip of ["", "localhost", "2130706433", "0x7f.1", "127.1", "127.0.0.1 "]) {
    assert.equal(contains(["0.0.0.0/0", "::/0"], ip), false, ip);
  }
});

test("blocks that cannot be read are named and match nothing", () => {
  const { networks, bad } = compileNetworks(["10.0.0.0/8", "10.0.0.0/33", "here", "::ffff:1.2.3.4/95", "127.1/8"]);
  assert.deepEqual(bad, [1, 2, 3, 4]);
  assert.equal(networks.contains(parseAddress("10.1.1.1")), true);
  assert.equal(networks.contains(parseAddress("127.0.0.1")), false);
});
