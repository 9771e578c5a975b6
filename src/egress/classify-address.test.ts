import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { type AddressKind, classifyAddress, classifyHost, mayDial, sameAddress } from "./classify-address.ts";

/** First and last address of each special range, and the neighbours outside it, written down from the registries. */
const INSIDE: Readonly<Record<string, readonly string[]>> = {
  unspecified: ["0.0.0.0", "::", "0:0:0:0:0:0:0:0"],
  loopback: ["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"],
  private: [
    "10.0.0.0",
    "10.255.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.168.0.0",
    "192.168.255.255",
    "::ffff:10.1.2.3",
    "fc00::",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
  ],
  link_local: ["169.254.0.0", "169.254.255.255", "fe80::", "febf:ffff::1", "::ffff:169.254.1.1"],
  metadata: [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
  ],
  shared: ["100.64.0.0", "100.127.255.255"],
  reserved: [
    "0.0.0.1",
    "0.255.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.31.196.0",
    "192.31.196.255",
    "192.52.193.0",
    "192.52.193.255",
    "192.175.48.0",
    "192.175.48.255",
    "240.0.0.0",
    "255.255.255.254",
    "::2",
    "::10.0.0.1",
    "::ffff:0:1.2.3.4",
    "100::",
    "100::ffff:ffff:ffff:ffff",
    "100:0:0:1::1",
    "2001:1::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2620:4f:8000::1",
    "4000::1",
    "5f00::1",
    "fec0::1",
    "feff::1",
    "fe00::1",
    "1fff::1",
  ],
  documentation: [
    "192.0.2.0",
    "192.0.2.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff::1",
    "3fff:fff:ffff::1",
  ],
  benchmarking: ["198.18.0.0", "198.19.255.255", "2001:2::1"],
  transition: ["192.88.99.0", "192.88.99.255", "2001::1", "2001:0:ffff::1", "2002::1", "2002:7f00:1::1"],
  multicast: ["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1", "ffff::1"],
  broadcast: ["255.255.255.255"],
  nat64: ["64:ff9b::1.2.3.4", "64:ff9b::7f00:1", "64:ff9b:1::1", "64:ff9b:1:ffff::1"],
  zoned: ["fe80::1%eth0", "::1%1"],
  invalid: [
    "",
    "localhost",
    "010.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "1.2.3.4.",
    "[::1]",
    "1.2.3.4/8",
    " 1.2.3.4",
    "::1::",
    "1.2.3",
  ],
  public: [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "3fff:1000::1",
    "::ffff:8.8.8.8",
  ],
};

for (const [kind, addresses] of Object.entries(INSIDE)) {
  test(`these are ${kind}`, () => {
    for (const address of addresses) assert.equal(classifyAddress(address), kind, address);
  });
}

test("no kind but public, private and loopback is ever dialled", () => {
  const kinds = Object.keys(INSIDE) as AddressKind[];
  assert.deepEqual(
    kinds.filter((kind) => mayDial(kind, { private: false })),
    ["public"],
  );
  assert.deepEqual(kinds.filter((kind) => mayDial(kind, { private: true })).sort(), ["loopback", "private"]);
});

/** ipaddr.js' word for what must never be called public; it knows fewer ranges than we do. */
test("whatever ipaddr.js calls special is not public", () => {
  fc.assert(
    fc.property(anyAddress, (address) => {
      const parsed = ipaddr.process(address);
      if (parsed.range() !== "unicast") assert.notEqual(classifyAddress(address), "public", address);
    }),
    { numRuns: 2_000 },
  );
});

/** The registries' ranges again, in another notation and matched by other code (Node's BlockList). */
test("an IPv4 address is public exactly where the registry has no entry for it", () => {
  const special = new BlockList();
  for (const subnet of V4_REGISTRY.split(" ")) {
    const [base = "", bits = ""] = subnet.split("/");
    special.addSubnet(base, Number(bits), "ipv4");
  }
  fc.assert(
    fc.property(anyV4, (address) => {
      assert.equal(classifyAddress(address) === "public", !special.check(address, "ipv4"), address);
    }),
    { numRuns: 2_000 },
  );
});

const V4_REGISTRY =
  "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 " +
  "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 " +
  "224.0.0.0/4 240.0.0.0/4";

/** Uniform addresses hardly ever hit a range; addresses near their borders do. */
const octet = fc.oneof(
  fc.constantFrom(
    0,
    1,
    9,
    10,
    16,
    31,
    51,
    63,
    64,
    88,
    99,
    100,
    113,
    127,
    128,
    168,
    169,
    172,
    192,
    198,
    203,
    224,
    254,
    255,
  ),
  fc.nat(255),
);
const anyV4 = fc.tuple(octet, octet, octet, octet).map((parts) => parts.join("."));
const hextet = fc.oneof(
  fc.constantFrom("0", "1", "64", "100", "2001", "2002", "db8", "ff9b", "fc00", "fe80", "fec0", "ff02", "3fff", "ffff"),
  fc.nat(0xffff).map((n) => n.toString(16)),
);
const anyAddress = fc.oneof(
  anyV4,
  anyV4.map((address) => `::ffff:${address}`),
  fc.array(hextet, { minLength: 8, maxLength: 8 }).map((parts) => parts.join(":")),
);

test("a spelling does not change the kind", () => {
  fc.assert(
    fc.property(fc.array(hextet, { minLength: 8, maxLength: 8 }), (parts) => {
      const address = parts.join(":");
      const compressed = ipaddr.parse(address).toString();
      assert.equal(classifyAddress(compressed), classifyAddress(address), address);
      assert.equal(classifyAddress(address.toUpperCase()), classifyAddress(address));
      assert.ok(sameAddress(compressed, address));
    }),
    { numRuns: 500 },
  );
});

test("an IPv4 address and its mapped form are the same, others are not", () => {
  assert.ok(sameAddress("127.0.0.1", "::ffff:127.0.0.1"));
  assert.ok(sameAddress("127.0.0.1", "::ffff:7f00:1"));
  assert.ok(!sameAddress("127.0.0.1", "127.0.0.2"));
  assert.ok(!sameAddress("::1", "::1%lo"));
  assert.ok(!sameAddress("nonsense", "nonsense"));
});

test("a host of the config is judged where its spelling tells", () => {
  assert.equal(classifyHost("127.0.0.1"), "loopback");
  assert.equal(classifyHost("[::1]"), "loopback");
  assert.equal(classifyHost("localhost"), "loopback");
  assert.equal(classifyHost("a.LOCALHOST."), "loopback");
  assert.equal(classifyHost("metadata.google.internal"), "metadata");
  assert.equal(classifyHost("api.example"), undefined);
  for (const number of ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "1.2.3.4.5", ""]) {
    assert.equal(classifyHost(number), "invalid", number);
  }
});

test("odd notations that a URL parser accepts arrive as the address they mean", () => {
  for (const odd of [
    "0x7f.1",
    "2130706433",
    "017700000001",
    "127.1",
    "127.0.0.1.",
    "[::ffff:127.0.0.1]",
    "①②⑦.0.0.1",
  ]) {
    assert.equal(classifyHost(new URL(`http://${odd}/`).hostname), "loopback", odd);
  }
});
