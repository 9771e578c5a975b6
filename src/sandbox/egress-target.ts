import { Problem } from "../base/problem.ts";
import { parseHostPort, printOrigin } from "../config/host-port.ts";
import type { EgressOrigin } from "./egress-session.ts";

const HTTP_PORT = 80;
const AUTHORITY = /^[^\s/?#@\\%]+:[0-9]{1,5}$/;
const ABSOLUTE = /^http:\/\/([^/?#]+)([/?].*)?$/i;

/** Where a request goes, and what it asks for there. */
export interface EgressTarget {
  readonly origin: EgressOrigin;
  /** `/path?query`, as it came. */
  readonly target: string;
}

/**
 * Reads the target of a `CONNECT`: a host and a port, both written out.
 *
 * @throws {Problem} `invalid_request`.
 */
export function parseTunnelTarget(authority: string): { readonly host: string; readonly port: number } {
  const place = AUTHORITY.test(authority) ? parseHostPort(authority) : undefined;
  if (place?.ok !== true) {
    throw new Problem("invalid_request", {
      detail: "the target of the tunnel is not a host and a port",
      remedy: "Ask for `CONNECT HOST:PORT`.",
    });
  }
  return place.value;
}

/**
 * Reads the target of a request that came without a tunnel: `http://host/path`, as proxies are asked.
 *
 * @throws {Problem} `invalid_request`, `bad_host`.
 */
export function parseProxyTarget(url: string, hosts: readonly string[]): EgressTarget {
  const [, authority, rest = "/"] = ABSOLUTE.exec(url) ?? [];
  const place = authority === undefined ? undefined : parseHostPort(withPort(authority, HTTP_PORT));
  if (place?.ok !== true) {
    throw new Problem("invalid_request", {
      detail: "this is a proxy, and the request names no `http://` url",
      remedy: "Ask for a tunnel (`CONNECT HOST:443`), or for an `http://` url of a private host.",
    });
  }
  const origin = { protocol: "http:" as const, ...place.value };
  checkHostHeader(hosts, origin);
  return { origin, target: rest.startsWith("/") ? rest : `/${rest}` };
}

/**
 * Reads the target of a request within a tunnel.
 *
 * @throws {Problem} `invalid_request`, `bad_host`.
 */
export function parseInnerTarget(url: string, hosts: readonly string[], origin: EgressOrigin): EgressTarget {
  if (!url.startsWith("/")) {
    throw new Problem("invalid_request", { detail: "within a tunnel a request names a path, which begins with `/`" });
  }
  checkHostHeader(hosts, origin);
  return { origin, target: url };
}

/** One host, named alike by the tunnel, by TLS and by the request: a difference is a request that two would read in two ways. */
function checkHostHeader(hosts: readonly string[], origin: EgressOrigin): void {
  const [host, ...others] = hosts;
  const { protocol } = origin;
  const place =
    host === undefined || others.length > 0
      ? undefined
      : parseHostPort(withPort(host, protocol === "https:" ? 443 : HTTP_PORT));
  if (place?.ok === true && printOrigin(protocol, place.value) === printOrigin(protocol, origin)) return;
  throw new Problem("bad_host", {
    detail: "the Host header is not the host that the proxy was asked for",
    remedy: "Send one Host header, with the host of the url.",
  });
}

function withPort(authority: string, port: number): string {
  return /:[0-9]+$/.test(authority) ? authority : `${authority}:${port}`;
}
