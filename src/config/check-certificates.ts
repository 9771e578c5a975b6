import { quote } from "./quote.ts";
import type { Config, Fault } from "./schema.ts";

/** What of client certificates concerns more than one key: names of two agents, and who would tell of a certificate at all. */
export function checkCertificates({ server, agents }: Config): {
  readonly faults: readonly Fault[];
  readonly warnings: readonly Fault[];
} {
  const faults: Fault[] = [];
  const { tls, trustedProxies, clientCertificateHeader: header } = server;
  if (header !== undefined && trustedProxies.length === 0)
    faults.push({
      path: ["server", "client_certificate_header"],
      problem: "nobody is trusted to write that header",
      remedy: "name the proxies in `trusted_proxies`",
    });
  if (tls?.clientCrl !== undefined && tls.clientCa === undefined)
    faults.push({
      path: ["server", "tls", "client_crl"],
      problem: "no certificates of clients are asked for",
      remedy: "add `client_ca`",
    });
  const owners = new Map<string, string>();
  for (const { name, certificates = [] } of agents.values()) {
    for (const [index, certificate] of certificates.entries()) {
      const owner = owners.get(certificate);
      if (owner === undefined) owners.set(certificate, name);
      else
        faults.push({
          path: ["agents", name, "certificates", index],
          problem: `${quote(certificate)} proves the agent ${quote(owner)} already`,
          remedy: "a certificate proves one agent; remove it from the others",
        });
    }
  }
  const idle = owners.size > 0 && tls?.clientCa === undefined && header === undefined;
  const [first] = idle ? owners.values() : [];
  if (first === undefined) return { faults, warnings: [] };
  const problem = "no certificates of clients are asked for";
  const remedy = "add `server.tls.client_ca`, or `server.client_certificate_header` behind a proxy";
  return { faults, warnings: [{ path: ["agents", first, "certificates"], problem, remedy }] };
}
