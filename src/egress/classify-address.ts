import { isIPv4, isIPv6 } from "node:net";

/** What an IP address is for. Only `public`, and on request `private` and `loopback`, are ever dialled. */
export type AddressKind =
  | "public"
  | "private"
  | "loopback"
  | "link_local"
  | "metadata"
  | "shared"
  | "multicast"
  | "broadcast"
  | "unspecified"
  | "nat64"
  | "transition"
  | "documentation"
  | "benchmarking"
  | "reserved"
  | "zoned"
  | "invalid";

type Range = readonly [base: readonly number[], bits: number, kind: AddressKind];

/**
 * The special ranges of IPv4, the narrow before the wide. Cloud metadata addresses stand beside the registry's.
 *
 * @see https://www.iana.org/assignments/iana-ipv4-special-registry
 */
const RANGES_V4: readonly Range[] = [
  v4("169.254.169.254", 32, "metadata"),
  v4("169.254.170.2", 32, "metadata"),
  v4("169.254.170.23", 32, "metadata"),
  v4("100.100.100.200", 32, "metadata"),
  v4("168.63.129.16", 32, "metadata"),
  v4("192.0.0.192", 32, "metadata"),
  v4("0.0.0.0", 32, "unspecified"),
  v4("0.0.0.0", 8, "reserved"),
  v4("10.0.0.0", 8, "private"),
  v4("100.64.0.0", 10, "shared"),
  v4("127.0.0.0", 8, "loopback"),
  v4("169.254.0.0", 16, "link_local"),
  v4("172.16.0.0", 12, "private"),
  v4("192.0.0.0", 24, "reserved"),
  v4("192.0.2.0", 24, "documentation"),
  v4("192.31.196.0", 24, "reserved"),
  v4("192.52.193.0", 24, "reserved"),
  v4("192.88.99.0", 24, "transition"),
  v4("192.168.0.0", 16, "private"),
  v4("192.175.48.0", 24, "reserved"),
  v4("198.18.0.0", 15, "benchmarking"),
  v4("198.51.100.0", 24, "documentation"),
  v4("203.0.113.0", 24, "documentation"),
  v4("224.0.0.0", 4, "multicast"),
  v4("255.255.255.255", 32, "broadcast"),
  v4("240.0.0.0", 4, "reserved"),
];

/**
 * The special ranges of IPv6. Whatever lies outside global unicast (2000::/3) and is not listed is reserved.
 *
 * @see https://www.iana.org/assignments/iana-ipv6-special-registry
 */
const RANGES_V6: readonly Range[] = [
  v6("fd00:ec2::254", 128, "metadata"),
  v6("fd20:ce::254", 128, "metadata"),
  v6("::", 128, "unspecified"),
  v6("::1", 128, "loopback"),
  v6("64:ff9b::", 96, "nat64"),
  v6("64:ff9b:1::", 48, "nat64"),
  v6("100::", 64, "reserved"),
  v6("100:0:0:1::", 64, "reserved"),
  v6("2001::", 32, "transition"),
  v6("2001:2::", 48, "benchmarking"),
  v6("2001::", 23, "reserved"),
  v6("2001:db8::", 32, "documentation"),
  v6("2002::", 16, "transition"),
  v6("2620:4f:8000::", 48, "reserved"),
  v6("3fff::", 20, "documentation"),
  v6("5f00::", 16, "reserved"),
  v6("fc00::", 7, "private"),
  v6("fe80::", 10, "link_local"),
  v6("fec0::", 10, "reserved"),
  v6("ff00::", 8, "multicast"),
];

const GLOBAL_UNICAST_V6: Range = v6("2000::", 3, "public");
const MAPPED_V6: Range = v6("::ffff:0:0", 96, "public");

/**
 * Says what an IP address is for.
 *
 * An IPv4 address inside IPv6 (`::ffff:127.0.0.1`) is judged as the IPv4 address that would be dialled. A zone
 * (`fe80::1%eth0`) names an interface of this machine and is a kind of its own.
 *
 * @param text - As a resolver or a socket prints it, no brackets. Anything else, `010.0.0.1` too, is `invalid`.
 * @returns Never throws; pure.
 */
export function classifyAddress(text: string): AddressKind {
  if (isIPv4(text)) return kindAmong(RANGES_V4, hextetsOfV4(text)) ?? "public";
  if (!isIPv6(text)) return "invalid";
  if (text.includes("%")) return "zoned";
  const hextets = hextetsOfV6(text);
  if (within(hextets, MAPPED_V6)) return kindAmong(RANGES_V4, hextets.slice(6)) ?? "public";
  return kindAmong(RANGES_V6, hextets) ?? (within(hextets, GLOBAL_UNICAST_V6) ? "public" : "reserved");
}

/**
 * Whether an address of this kind may be dialled: public ones for a public service; private and loopback ones for a
 * service that says `private: true`, and then no public one, so that a name that starts to point elsewhere is noticed.
 */
export function mayDial(kind: AddressKind, service: { readonly private: boolean }): boolean {
  return service.private ? kind === "private" || kind === "loopback" : kind === "public";
}

/**
 * Says what a host of the config is for, as far as its spelling tells.
 *
 * @param host - As `URL.hostname` prints it, with or without brackets.
 * @returns `undefined` for a name that must be resolved; `invalid` for a number that is no canonical address.
 */
export function classifyHost(host: string): AddressKind | undefined {
  const bare = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if (isIPv4(bare) || isIPv6(bare)) return classifyAddress(bare);
  const name = bare.replace(/\.$/, "");
  if (name === "localhost" || name.endsWith(".localhost")) return "loopback";
  if (name === "metadata.google.internal" || name === "metadata.goog") return "metadata";
  return /(^|\.)(0x[0-9a-f]*|[0-9]+)$/.test(name) || name === "" ? "invalid" : undefined;
}

/** Whether two spellings name the same address; an IPv4 address equals its IPv4-mapped form. */
export function sameAddress(left: string, right: string): boolean {
  const [a, b] = [canonical(left), canonical(right)];
  return a !== undefined && a === b;
}

function canonical(text: string): string | undefined {
  if (isIPv4(text)) return hextetsOfV4(text).join(":");
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const hextets = hextetsOfV6(text);
  return (within(hextets, MAPPED_V6) ? hextets.slice(6) : hextets).join(":");
}

function kindAmong(ranges: readonly Range[], hextets: readonly number[]): AddressKind | undefined {
  return ranges.find((range) => within(hextets, range))?.[2];
}

function within(hextets: readonly number[], [base, bits]: Range): boolean {
  return base.every((expected, index) => {
    const fixed = Math.min(Math.max(bits - 16 * index, 0), 16);
    const mask = (0xffff << (16 - fixed)) & 0xffff;
    return ((hextets[index]! ^ expected) & mask) === 0;
  });
}

function v4(base: string, bits: number, kind: AddressKind): Range {
  return [hextetsOfV4(base), bits, kind];
}

function v6(base: string, bits: number, kind: AddressKind): Range {
  return [hextetsOfV6(base), bits, kind];
}

function hextetsOfV4(text: string): number[] {
  const [a = 0, b = 0, c = 0, d = 0] = text.split(".").map(Number);
  return [a * 256 + b, c * 256 + d];
}

/** Eight numbers of 16 bits. `text` has passed `isIPv6` and has no zone. */
function hextetsOfV6(text: string): number[] {
  const [head = "", tail] = text.split("::");
  const left = hextetsOfPart(head);
  if (tail === undefined) return left;
  const right = hextetsOfPart(tail);
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function hextetsOfPart(part: string): number[] {
  if (part === "") return [];
  return part.split(":").flatMap((group) => (group.includes(".") ? hextetsOfV4(group) : [Number.parseInt(group, 16)]));
}
