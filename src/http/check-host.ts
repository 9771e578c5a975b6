import type { IncomingMessage } from "node:http";
import { Problem } from "../base/problem.ts";

/** The names under which a listener may be addressed. */
export interface OwnNames {
  /** Lower-case host names without port, IPv6 in brackets. */
  readonly hosts: ReadonlySet<string>;
  /** `http://127.0.0.1:7420`: the origins of pages that we serve ourselves. */
  readonly origins: ReadonlySet<string>;
}

const LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"];

/**
 * The names of a TCP listener: loopback's, the configured address, and the public URL's.
 *
 * The port of `Host` is not compared: a name that an attacker controls is what makes DNS rebinding, and a proxy in
 * front often keeps its own port.
 */
export function ownNames(
  listen: { readonly host: string; readonly port: number },
  publicUrl: string | undefined,
): OwnNames {
  const hosts = new Set(LOOPBACK_HOSTS);
  const bound = listen.host.includes(":") && !listen.host.startsWith("[") ? `[${listen.host}]` : listen.host;
  if (!["0.0.0.0", "[::]"].includes(bound)) hosts.add(bound.toLowerCase());
  const origins = new Set(
    [...hosts].flatMap((host) => [`http://${host}:${listen.port}`, `https://${host}:${listen.port}`]),
  );
  if (publicUrl !== undefined) {
    const url = new URL(publicUrl);
    hosts.add(url.hostname.toLowerCase());
    origins.add(url.origin);
  }
  return { hosts, origins };
}

/** The local socket has no web pages: any name will do that is no other site's, and no Origin at all. */
export const SOCKET_NAMES: OwnNames = { hosts: new Set([...LOOPBACK_HOSTS, "doorward"]), origins: new Set() };

/**
 * Refuses requests that were addressed to somebody else, or that a foreign web page makes.
 *
 * @returns The problem, or `undefined`. Judges the raw headers, since Node keeps one of several Hosts silently.
 */
export function checkHost(request: IncomingMessage, names: OwnNames): Problem | undefined {
  let host: string | undefined;
  let origin: string | undefined;
  const raw = request.rawHeaders;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    if (name.length === 4 && name.toLowerCase() === "host") {
      if (host !== undefined) return new Problem("bad_host", { detail: "the request has several Host headers" });
      host = raw[i + 1]!;
    } else if (name.length === 6 && name.toLowerCase() === "origin") {
      if (origin !== undefined) return new Problem("bad_origin", { detail: "the request has several Origin headers" });
      origin = raw[i + 1]!;
    }
  }
  if (host === undefined || !names.hosts.has(hostName(host))) {
    return new Problem("bad_host", { detail: "the Host header names another server" });
  }
  if (origin !== undefined && !names.origins.has(origin.toLowerCase())) {
    return new Problem("bad_origin", { detail: "the Origin header names another site" });
  }
  return undefined;
}

/** The name without its port; what is no `name[:port]` comes back as something that is in no list. */
function hostName(host: string): string {
  return /^(\[[0-9a-f:]+\]|[a-z0-9.-]+)(?::\d{1,5})?$/.exec(host.toLowerCase())?.[1] ?? "";
}
