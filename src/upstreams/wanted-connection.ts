import { createHash } from "node:crypto";
import type { JsonObject } from "../base/json.ts";
import type { Relay } from "../broker/upstream-call.ts";
import type { Principal } from "../identity/principal.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { relayedCapabilities } from "./judge-ask.ts";
import type { OpenUpstreamDeps } from "./open-upstream.ts";

/** Which connection a caller is served by; equal keys share one. */
export interface WantedConnection {
  readonly key: string;
  /** Connections with equal ones are offered the same. */
  readonly surfaceKey: string;
  /** Of the service's entry in the file. */
  readonly digest: string;
  /** The one client that the server may ask; `""` when it may ask nobody. */
  readonly owner: string;
  /** As they are declared upstream. */
  readonly capabilities: JsonObject;
}

/**
 * Which connection serves a caller: one per entry of the file, tenant, authority of the credential and capabilities; and where an
 * older server may ask the client something, one per client, so that what it asks has one addressee.
 *
 * @param eras - What servers were found to speak, by the digest of their entry.
 */
export async function wantedConnection(
  authorise: OpenUpstreamDeps["authorise"],
  { service, principal, relay }: Asking,
  eras: ReadonlyMap<string, string>,
): Promise<WantedConnection> {
  const digest = configDigest(service);
  const { name, server } = service.config;
  const leased = server.transport === "http" ? await authorise(service, principal) : undefined;
  const capabilities = relayedCapabilities(relay?.capabilities ?? {});
  const mayAsk = Object.keys(capabilities).length > 0 && eras.get(digest) !== "modern";
  const owner = mayAsk ? (relay?.key ?? "") : "";
  const authority = leased?.lease.version ?? "";
  const surfaceKey = JSON.stringify([name, digest, authority, capabilities]);
  // INVARIANT: no server that one tenant speaks with is spoken with by another.
  const key = JSON.stringify([surfaceKey, owner, principal.tenant ?? ""]);
  return { key, surfaceKey, digest, owner, capabilities };
}

/** Who asks, for what. */
export interface Asking {
  readonly service: CompiledMcpService;
  readonly principal: Principal;
  readonly relay: Relay | undefined;
}

const digests = new WeakMap<CompiledMcpService, string>();

/** Over what a connection is made of: with another entry in the file it is another server. */
export function configDigest(service: CompiledMcpService): string {
  const known = digests.get(service);
  if (known !== undefined) return known;
  const { server, credential, private: isPrivate, limits, tenant, environment } = service.config;
  const text = JSON.stringify(
    [server, credential, isPrivate, limits, tenant, environment, service.ca],
    (_, value: unknown) => (value instanceof Map ? [...value] : value),
  );
  const digest = createHash("sha256").update(text).digest("hex");
  digests.set(service, digest);
  return digest;
}
