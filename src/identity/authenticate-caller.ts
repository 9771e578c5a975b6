import type { IncomingMessage } from "node:http";
import { looksLikeApiKey } from "./api-key.ts";
import type { Authenticate, Authentication, AuthenticationRequest } from "./authenticate.ts";
import type { ClientCertificate } from "./client-certificate.ts";

/** All that a request brought to prove who sends it. */
export interface CallerProof extends AuthenticationRequest {
  /** Verified: of the connection, or told by a proxy that the file trusts. */
  readonly certificate?: ClientCertificate | undefined;
  /** What the token must be for (RFC 8707): `/mcp`, `/mcp/SERVICE` or `/api`. */
  readonly resource?: string | undefined;
  /** For proofs of possession (RFC 9449): the request as it was sent. */
  readonly http?: Pick<IncomingMessage, "method" | "url" | "headers" | "rawHeaders"> | undefined;
}

/** Verifies one kind of tokens that are no API keys. */
export interface TokenVerifier {
  /** @returns `undefined` for what is no token of this kind. Never throws, and never rejects. */
  verify(token: string, proof: CallerProof): Authentication | Promise<Authentication> | undefined;
}

/** Proves who asks; at once for an API key, and for any other token that was verified before. */
export type AuthenticateCaller = (proof: CallerProof) => Authentication | Promise<Authentication>;

/**
 * Makes the one function that every remote request passes.
 *
 * A token speaks before a certificate, so that a request has one identity: who sends a wrong key or an expired token is
 * refused, whatever certificate the connection has. What is no token of anybody's, such as the dummy that an SDK insists on,
 * leaves the certificate to speak.
 *
 * @param deps.verifiers - Asked in turn; the first that knows the token answers.
 */
export function createCallerAuthenticator(deps: {
  readonly keys: Authenticate;
  readonly verifiers: () => readonly TokenVerifier[];
  readonly certificates: (certificate: ClientCertificate, proof: CallerProof) => Authentication;
}): AuthenticateCaller {
  return (proof) => {
    const { token, certificate } = proof;
    if (token === undefined || token === "") {
      return certificate === undefined ? deps.keys(proof) : deps.certificates(certificate, proof);
    }
    if (looksLikeApiKey(token)) return deps.keys(proof);
    for (const verifier of deps.verifiers()) {
      const answer = verifier.verify(token, proof);
      if (answer !== undefined) return answer;
    }
    return certificate === undefined ? deps.keys(proof) : deps.certificates(certificate, proof);
  };
}
