import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { type Parsed, parsed, unparsed } from "./parsed.ts";
import { quote } from "./quote.ts";
import type { ListenAddress, ServerConfig } from "./schema.ts";

/** Where Doorward listens when nothing says otherwise. */
export const DEFAULT_LISTEN: ListenAddress = { host: "127.0.0.1", port: 7420 };

/** `127.0.0.1:7420`, `[::1]:7420`, `localhost:7420`: the key `server.listen` and the flag `--listen`. */
export function parseListenAddress(text: string): Parsed<ListenAddress> {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^[\]:]+)):(0|[1-9][0-9]{0,4})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  const known = match?.[1] === undefined ? isIP(host) === 4 || host === "localhost" : isIP(host) === 6;
  if (!known || !(port <= 65_535)) {
    return unparsed(
      `${quote(text)} is not an address to listen on`,
      "write `HOST:PORT` with an IP address, as in `127.0.0.1:7420` or `[::1]:7420`",
    );
  }
  return parsed({ host, port });
}

/** Whether only this machine can reach the address. IPv4 inside IPv6 is judged as IPv4. */
export function isLoopbackHost(host: string): boolean {
  if (host === "localhost") return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === "loopback";
}

/**
 * Why a server may not listen where it is told to: plain HTTP belongs on loopback.
 *
 * @returns `undefined` when it may: loopback, TLS of its own, or a named proxy in front that terminates TLS.
 */
export function listenFault(server: ServerConfig): { readonly problem: string; readonly remedy: string } | undefined {
  if (isLoopbackHost(server.listen.host) || server.tls !== undefined || server.trustedProxies.length > 0)
    return undefined;
  return {
    problem: `plain HTTP on ${quote(server.listen.host)} can be read on its way`,
    remedy: "add `server.tls`, or name who terminates TLS in `server.trusted_proxies`, or listen on 127.0.0.1",
  };
}
