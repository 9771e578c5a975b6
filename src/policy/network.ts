import ipaddr from "ipaddr.js";

/** A set of addresses, compiled. */
export interface Networks {
  /** @param address - What {@link parseAddress} gave; what is not an address is in no network. */
  contains(address: Address | undefined): boolean;
}

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** The local socket counts as this address: who may use it is on this machine. */
const UNIX_SOCKET_ADDRESS = "127.0.0.1";

/**
 * Compiles CIDR blocks and plain addresses.
 *
 * IPv4-mapped IPv6 addresses are IPv4 here, in blocks as in addresses.
 *
 * @returns The blocks that cannot be read stand in `bad`, and match nothing.
 */
export function compileNetworks(blocks: readonly string[]): { networks: Networks; bad: readonly number[] } {
  const ranges: [Address, number][] = [];
  const bad: number[] = [];
  for (const [index, block] of blocks.entries()) {
    const range = parseBlock(block);
    if (range === undefined) bad.push(index);
    else ranges.push(range);
  }
  // The address judged last: see `parseAddress`, which gives the same object for the same caller.
  let judged: { readonly address: Address; readonly inside: boolean } | undefined;
  const contains = (address: Address | undefined): boolean => {
    if (address === undefined) return false;
    if (judged?.address === address) return judged.inside;
    const inside = ranges.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
    judged = { address, inside };
    return inside;
  };
  return { networks: { contains }, bad };
}

function parseBlock(block: string): [Address, number] | undefined {
  const text = block.includes("/") ? block : `${block}/${block.includes(":") ? 128 : 32}`;
  if (!ipaddr.IPv4.isValidCIDRFourPartDecimal(text) && !ipaddr.IPv6.isValidCIDR(text)) return undefined;
  const [network, bits] = ipaddr.parseCIDR(text);
  if (network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress()) {
    return bits >= 96 ? [network.toIPv4Address(), bits - 96] : undefined;
  }
  return [network, bits];
}

/** An address that is read when a rule first asks for it. */
export type LazyAddress = () => Address | undefined;

/** Puts off {@link parseAddress} until it is needed: most rules name no network. */
export function lazyAddress(ip: string): LazyAddress {
  let read: { readonly address: Address | undefined } | undefined;
  return () => {
    read ??= { address: parseAddress(ip) };
    return read.address;
  };
}

/** The address read last: callers come from few addresses, and reading one costs more than judging a rule. */
let last: { readonly ip: string; readonly address: Address | undefined } = { ip: "", address: undefined };

/** Reads an address as a socket gives it, or `unix`; a zone id is ignored. `undefined` for anything else. */
export function parseAddress(ip: string): Address | undefined {
  if (last.ip !== ip) last = { ip, address: readAddress(ip) };
  return last.address;
}

function readAddress(ip: string): Address | undefined {
  const plain = ip === "unix" ? UNIX_SOCKET_ADDRESS : (ip.split("%", 1)[0] ?? "");
  if (!ipaddr.IPv4.isValidFourPartDecimal(plain) && !ipaddr.IPv6.isValid(plain)) return undefined;
  return ipaddr.process(plain);
}
