import ipaddr from "ipaddr.js";
import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";

/**
 * An address or CIDR block as it stands in `networks` and `trusted_proxies`.
 *
 * One spelling only: bits beyond the prefix, octal or shortened IPv4, zones and IPv4 inside IPv6 are refused, because
 * readers disagree about them.
 *
 * @returns Always with its prefix length: `10.0.0.1` becomes `10.0.0.1/32`.
 */
export function parseNetworkBlock(text: string): Parsed<string> {
  const [address = "", prefix, ...rest] = text.split("/");
  const ip = parseAddress(address);
  const bits = ip?.kind() === "ipv4" ? 32 : 128;
  const length = prefix === undefined ? bits : /^(?:0|[1-9][0-9]{0,2})$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (ip === undefined || rest.length > 0 || !(length <= bits)) {
    return unparsed(
      `${quote(text)} is not a network`,
      "write an address or a CIDR block, as in `10.0.0.0/8` or `fd00::/8`",
    );
  }
  const block = `${ip.toString()}/${length}`;
  const first =
    ip.kind() === "ipv4" ? ipaddr.IPv4.networkAddressFromCIDR(block) : ipaddr.IPv6.networkAddressFromCIDR(block);
  if (first.toString() !== ip.toString()) {
    return unparsed(
      `${quote(text)} has bits beyond its prefix`,
      `write \`${first.toString()}/${length}\` or \`${ip.toString()}/${bits}\``,
    );
  }
  return parsed(block);
}

function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (!text.includes(":") || text.includes("%") || !ipaddr.IPv6.isValid(text)) return undefined;
  const ip = ipaddr.IPv6.parse(text);
  return ip.isIPv4MappedAddress() ? undefined : ip;
}
