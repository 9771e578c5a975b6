import { authenticateClient } from "../credentials/authenticate-client.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { GrantRecord } from "./login-records.ts";
import { type EgressSender, fetchOAuth } from "./oauth-fetch.ts";
import type { TokenClient } from "./request-token.ts";

/**
 * Takes tokens back where they came from (RFC 7009): the refresh token, which ends what was made of it, and the access token.
 *
 * @returns Whether the server took all of them. Never rejects: here they are gone already.
 */
export async function revokeUpstream(
  egress: EgressSender,
  service: CompiledMcpService,
  { revocationEndpoint, accessToken, refreshToken }: GrantRecord,
  client: TokenClient,
): Promise<boolean> {
  if (revocationEndpoint === undefined) return false;
  const url = new URL(revocationEndpoint);
  const revoke = async (token: string, hint: string): Promise<boolean> => {
    const form = new URLSearchParams({ token, token_type_hint: hint });
    const { status } = await fetchOAuth(egress, service, { url, post: authenticateClient(form, client) });
    return status === 200;
  };
  try {
    const renewed = refreshToken === undefined || (await revoke(refreshToken, "refresh_token"));
    return (await revoke(accessToken, "access_token")) && renewed;
  } catch {
    return false;
  }
}
