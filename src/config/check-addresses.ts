import { isLoopbackHost } from "./listen-address.ts";
import { quote } from "./quote.ts";
import type { ConfigPath, Fault, ServiceConfig } from "./schema.ts";

/**
 * What a host in a `url` is: a name (judged when it is resolved), or a literal address by its kind.
 * `private` includes loopback; `forbidden` is what may never be dialled (link-local, metadata, multicast, …).
 */
export type HostClass = "name" | "public" | "private" | "forbidden";

/** A host that a service's entry names. */
interface NamedHost {
  readonly at: ConfigPath;
  readonly host: string;
  /** Whether what goes there is not encrypted. */
  readonly plain: boolean;
  /** Whether it must be as private as the service says that it is. */
  readonly bound: boolean;
}

/** Faults of the hosts that a service names: where it is, where its secret may go, what its sandbox opens. */
export function checkAddresses(
  service: ServiceConfig,
  classifyHost: ((host: string) => HostClass) | undefined,
): readonly Fault[] {
  return hostsOf(service).flatMap((named) => {
    const kind = isLocalName(named.host) ? "private" : classifyHost?.(named.host);
    const fault = addressFault(named, kind, service.private);
    return fault === undefined ? [] : [{ path: ["services", service.name, ...named.at], ...fault }];
  });
}

function addressFault({ host, plain, bound }: NamedHost, kind: HostClass | undefined, isPrivate: boolean) {
  if (kind === "forbidden") {
    return { problem: `${quote(host)} is an address that is never dialled`, remedy: "write the API's own host" };
  }
  if (kind === "private" && !isPrivate) {
    return {
      problem: `${quote(host)} is a private address`,
      remedy: "add `private: true`, or write a public host",
    };
  }
  if (kind === "public" && isPrivate && bound) {
    return {
      problem: `${quote(host)} is a public address, and \`private: true\` allows private ones alone`,
      remedy: "remove `private: true`",
    };
  }
  if (plain && !isPrivate) {
    return {
      problem: "plain http is for private services alone",
      remedy: "write `https://…`, or add `private: true`",
    };
  }
  return undefined;
}

function hostsOf(service: ServiceConfig): readonly NamedHost[] {
  const hosts: NamedHost[] = [];
  const addUrl = (at: ConfigPath, { host, protocol }: { readonly host: string; readonly protocol: string }) =>
    hosts.push({ at, host, plain: protocol === "http:", bound: true });
  if (service.kind === "http") {
    addUrl(["url"], service.url);
    return hosts;
  }
  const { server, credential } = service;
  if (server.transport === "http") addUrl(["mcp", "url"], server.url);
  else {
    for (const [index, { host }] of server.sandbox.network.entries()) {
      hosts.push({ at: ["sandbox", "network", index], host, plain: false, bound: true });
    }
  }
  if (credential?.kind === "env") {
    for (const [index, { host }] of credential.hosts.entries()) {
      hosts.push({ at: ["credential", "hosts", index], host, plain: false, bound: true });
    }
  }
  if (credential?.kind === "oauth2" && credential.tokenEndpoint !== undefined) {
    const { hostname, protocol } = new URL(credential.tokenEndpoint);
    const host = hostname.replace(/^\[|\]$/g, "");
    hosts.push({ at: ["credential", "token_endpoint"], host, plain: protocol === "http:", bound: false });
  }
  return hosts;
}

function isLocalName(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || (host.includes(".") && isLoopbackHost(host));
}
