import { DEFAULT_HTTPS_PORT, printOrigin } from "./host-port.ts";
import type { EnvCredentialConfig, PeopleConfig, ServiceConfig } from "./schema.ts";

/** A secret, the service that may use it, and an origin that it may go to. */
export interface CredentialPairing {
  /** `local:NAME`. */
  readonly ref: string;
  readonly service: string;
  /** `https://host[:port]`. */
  readonly origin: string;
}

/**
 * Where a service's secret may go: every origin that the file names for it.
 *
 * A person confirms each of them, so that an edited file sends no secret elsewhere. Empty without a secret.
 */
export function pairingsOf(service: ServiceConfig): readonly CredentialPairing[] {
  const { secret: ref } = service.credential ?? {};
  if (ref === undefined) return [];
  return [...new Set(originsOf(service))].map((origin) => ({ ref, service: service.name, origin }));
}

/** Under which name the vault knows who may use the secret of `people`: no service can be called so. */
export const PEOPLE_PAIRING = "people:login";

/** Where the secret of `people` may go. */
export function peoplePairings(people: PeopleConfig | undefined): readonly CredentialPairing[] {
  if (people?.secret === undefined) return [];
  return [{ ref: people.secret, service: PEOPLE_PAIRING, origin: people.tokenOrigin }];
}

function originsOf(service: ServiceConfig): readonly string[] {
  if (service.kind === "http") return [service.url.origin];
  const { credential, server } = service;
  const origins = server.transport === "http" ? [server.url.origin] : [];
  if (credential?.kind === "env") return envOrigins(credential, service.private);
  if (credential?.kind === "oauth2" && credential.tokenEndpoint !== undefined) {
    return [...origins, new URL(credential.tokenEndpoint).origin];
  }
  return origins;
}

/** A private host may be spoken to in plain HTTP too. */
function envOrigins({ hosts }: EnvCredentialConfig, plain: boolean): readonly string[] {
  return hosts.flatMap((place) => [
    printOrigin("https:", place),
    ...(plain && place.port !== DEFAULT_HTTPS_PORT ? [printOrigin("http:", place)] : []),
  ]);
}
