import { z } from "zod";
import { Problem } from "../base/problem.ts";
import type { Secret } from "../base/secret.ts";
import { authenticateClient, type ClientAuthMethod } from "../credentials/authenticate-client.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { type EgressSender, fetchOAuth } from "./oauth-fetch.ts";

/** As which client a token is asked for. */
export interface TokenClient {
  readonly id: string;
  readonly secret: Secret | undefined;
  readonly method: ClientAuthMethod;
}

/** Tokens, as a token endpoint gave them. They are strings until they are sealed or leased; nobody prints them. */
export interface TokenAnswer {
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  /** Absent: nothing was said. */
  readonly lifeSeconds: number | undefined;
}

/** A token endpoint that said no. */
export class TokenRefusal extends Problem {
  /** One of RFC 6749 and its relatives; `undefined` for anything else. */
  readonly error: string | undefined;

  constructor(service: string, error: string | undefined, status: number) {
    const said = error === undefined ? `status ${status}` : `\`${error}\``;
    super("secret_unavailable", {
      detail: `the authorization server of \`${service}\` gave no token: ${said}`,
      remedy: "The owner can look at `client_id`, `secret` and `scopes` of the service's credential.",
      reason: `token endpoint: ${said}`,
    });
    this.error = error;
  }
}

/** What a header can carry (RFC 6750 §2.1, and a little more). */
const TOKEN = /^[\x21-\x7e]{1,16384}$/;
const answerSchema = z.object({
  access_token: z.string().regex(TOKEN),
  refresh_token: z.string().regex(TOKEN).optional(),
  token_type: z.string().regex(/^bearer$/i),
  expires_in: z.coerce.number().positive().optional(),
});
const errorSchema = z.object({ error: z.string() });
/** Shown as they stand; whatever else a server says is not. */
const ERRORS: ReadonlySet<string> = new Set([
  "access_denied",
  "invalid_client",
  "invalid_grant",
  "invalid_request",
  "invalid_scope",
  "invalid_target",
  "server_error",
  "temporarily_unavailable",
  "unauthorized_client",
  "unsupported_grant_type",
  "unsupported_response_type",
]);

/** The word for what went wrong, when it is one that OAuth knows. */
export function knownOAuthError(error: unknown): string | undefined {
  return typeof error === "string" && ERRORS.has(error) ? error : undefined;
}

/**
 * Asks a token endpoint for a token.
 *
 * @param form - Without what proves the client.
 * @throws {TokenRefusal} `secret_unavailable`, or {@link Problem} as egress gives it.
 */
export async function requestToken(
  egress: EgressSender,
  service: CompiledMcpService,
  asked: { readonly url: URL; readonly form: URLSearchParams; readonly client: TokenClient },
): Promise<TokenAnswer> {
  const post = authenticateClient(asked.form, asked.client);
  const { status, json } = await fetchOAuth(egress, service, { url: asked.url, post });
  const parsed = status === 200 ? answerSchema.safeParse(json) : undefined;
  if (parsed?.success !== true) {
    throw new TokenRefusal(service.config.name, knownOAuthError(errorSchema.safeParse(json).data?.error), status);
  }
  const { access_token: accessToken, refresh_token: refreshToken, expires_in: lifeSeconds } = parsed.data;
  return { accessToken, refreshToken, lifeSeconds };
}
