import { Problem } from "../base/problem.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Lease } from "../vault/create-vault.ts";
import type { VaultLeases } from "./start-server.ts";

/**
 * The secret with which Doorward proves itself at a token endpoint: only where the owner confirmed that origin.
 *
 * @returns `undefined` where the file names none.
 * @throws {Problem} `secret_unavailable` for an endpoint at another origin that the file does not name.
 */
export async function leaseClientSecret(
  { vault, now }: { readonly vault: VaultLeases; readonly now: () => Date },
  { config }: CompiledMcpService,
  url: URL,
): Promise<Lease | undefined> {
  const { server, credential } = config;
  if (credential?.kind !== "oauth2" || credential.secret === undefined) return undefined;
  const isPinned = credential.tokenEndpoint !== undefined;
  if (!isPinned && server.transport === "http" && url.origin !== server.url.origin) {
    throw new Problem("secret_unavailable", {
      detail: `\`${config.name}\` names a token endpoint at \`${url.origin}\`, which the file does not`,
      remedy: `The owner can write \`token_endpoint: ${url.href}\` into its credential, if that is right.`,
      reason: "token endpoint at another origin",
    });
  }
  return vault.lease(credential.secret, { service: config.name, origin: url.origin }, now());
}
