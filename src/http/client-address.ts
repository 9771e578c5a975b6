import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";

/** The addresses that may say for whom they speak. */
export type TrustedProxies = (address: string) => boolean;

/**
 * Compiles `server.trusted_proxies`.
 *
 * @param cidrs - Checked when the file was loaded.
 */
export function trustedProxies(cidrs: readonly string[]): TrustedProxies {
  if (cidrs.length === 0) return () => false;
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [address = "", bits] = cidr.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    list.addSubnet(address, Number(bits ?? (family === "ipv6" ? 128 : 32)), family);
  }
  return (address) => list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/**
 * The address that a request comes from: the peer's, or what a trusted proxy says of its own peer.
 *
 * `X-Forwarded-For` is read from its end, past trusted hops only, so that a client cannot prepend a better address.
 */
export function clientAddress(request: IncomingMessage, trusted: TrustedProxies): string {
  const peer = peerAddress(request);
  if (!trusted(peer)) return peer;
  const forwarded = request.headers["x-forwarded-for"];
  if (forwarded === undefined) return peer;
  const hops = String(forwarded)
    .split(",")
    .map((hop) => plain(hop.trim()));
  for (const hop of hops.reverse()) {
    if (isIP(hop) === 0) return peer;
    if (!trusted(hop)) return hop;
  }
  return peer;
}

/** The address of the other end of the connection, whoever that speaks for. */
export function peerAddress(request: IncomingMessage): string {
  return plain(request.socket.remoteAddress ?? "");
}

function plain(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
