import type { ProofFault } from "../identity/authenticate.ts";

/**
 * What a 401 says of where a token is to be had (RFC 9728 §5.1), and how a proof must look (RFC 9449 §7.1). It never tells
 * what was wrong with a token.
 *
 * @param metadataUrl - Of the resource that was asked for.
 * @returns Headers, lower case.
 */
export function challenge(metadataUrl: string, proof: ProofFault | undefined): Record<string, string> {
  const where = `resource_metadata="${metadataUrl}"`;
  if (proof === undefined) {
    return { "www-authenticate": `Bearer realm="doorward", error="invalid_token", ${where}` };
  }
  const error = proof.nonce === undefined ? "invalid_dpop_proof" : "use_dpop_nonce";
  return {
    "www-authenticate": `DPoP realm="doorward", error="${error}", algs="ES256 EdDSA", ${where}`,
    ...(proof.nonce === undefined ? {} : { "dpop-nonce": proof.nonce }),
  };
}
