import { Problem } from "../base/problem.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { discoverAuthorization, endpointOf } from "./discover-authorization.ts";
import type { GrantKey, GrantRecord } from "./login-records.ts";
import type { EgressSender } from "./oauth-fetch.ts";

/** What the file says of the service must be what it said at the sign-in. @throws {Problem} `secret_unavailable`. */
export function checkUnchanged(
  service: CompiledMcpService,
  record: Pick<GrantRecord, "endpoint" | "tokenEndpoint" | "clientId">,
  key: GrantKey,
): void {
  const { credential } = service.config;
  if (credential?.kind !== "oauth2") throw new TypeError("no OAuth client is needed");
  if (record.endpoint !== endpointOf(service)) throw needsLogin(key, "its url is another since the sign-in");
  const { clientId, tokenEndpoint } = credential;
  const isSame = clientId === undefined || clientId === record.clientId;
  if (!isSame || (tokenEndpoint !== undefined && new URL(tokenEndpoint).href !== record.tokenEndpoint)) {
    throw needsLogin(key, "its credential is another since the sign-in");
  }
}

/** What the server says of itself must be what it said at the sign-in: asked before each renewal. @throws {Problem} as for {@link checkUnchanged}. */
export async function checkServer(
  egress: EgressSender,
  service: CompiledMcpService,
  record: GrantRecord,
  key: GrantKey,
): Promise<void> {
  const found = await discoverAuthorization(egress, service);
  const isSame =
    found.issuer === record.issuer &&
    found.resource === record.resource &&
    found.tokenEndpoint.href === record.tokenEndpoint;
  if (!isSame) throw needsLogin(key, "it names another authorization server since the sign-in");
}

/** The refusal that tells how to sign in. @param why - For the evidence. */
export function needsLogin({ service, owner }: GrantKey, why: string): Problem {
  const user = owner === "" ? "" : ` --user ${owner}`;
  return new Problem("secret_unavailable", {
    detail: `a person must sign in at \`${service}\` before it can be called`,
    remedy: `The owner can run \`doorward service login ${service}${user}\`.`,
    reason: `login: ${why}`,
  });
}
