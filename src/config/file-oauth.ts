import { z } from "zod";
import { assertionIssuerEntry } from "./file-issuers.ts";
import { named } from "./file-service.ts";
import { parseName } from "./names.ts";
import { parseDurationMs } from "./quantity.ts";
import type { OAuthConfig } from "./schema.ts";
import { joinMessage, read, record } from "./zod-fields.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** What leaks in a token ends with it, so it ends soon. */
const ACCESS_RANGE_MS = { min: MINUTE_MS, max: 15 * MINUTE_MS };
const REFRESH_RANGE_MS = { min: 5 * MINUTE_MS, max: 90 * DAY_MS };

/** What holds where the file says nothing. */
export const DEFAULT_OAUTH: OAuthConfig = {
  accessTtlSeconds: 600,
  refreshTtlSeconds: (30 * DAY_MS) / 1_000,
  registration: "open",
  clientDocuments: false,
};

/** The key `oauth`. */
export const oauthEntry = z
  .strictObject({
    access_ttl: read("duration", (text) => parseDurationMs(text, ACCESS_RANGE_MS))
      .optional()
      .meta({ description: "How long an access token lives.", standard: "10m" }),
    refresh_ttl: read("duration", (text) => parseDurationMs(text, REFRESH_RANGE_MS))
      .optional()
      .meta({
        description: "How long a refresh token lives that nobody uses; each use gives a new one.",
        standard: "30d",
      }),
    registration: z
      .enum(["open", "token", "off"])
      .optional()
      .meta({
        description:
          "Who may register a client: anybody, who has a token of `doorward agent registration-token`, or nobody. " +
          "A client that registered itself may do nothing until it is adopted.",
        standard: "open",
      }),
    client_documents: z.boolean().optional().meta({
      description:
        "Accept a URL as client id, and fetch the client's metadata from it. Only where Doorward reaches the internet.",
      standard: false,
    }),
    identity_assertion: z
      .strictObject({
        issuers: record("name", parseName, assertionIssuerEntry).superRefine(refuseSameIssuer).meta({
          description: "Who signs such assertions, and where the keys are. At least one.",
        }),
      })
      .optional()
      .meta({
        description:
          "Enterprise assertion grant (ID-JAG): what these issuers say of a person gives an adopted client a token for " +
          "that person, without a question to them. Absent: off.",
      }),
  })
  .transform(
    (from): OAuthConfig => ({
      accessTtlSeconds: from.access_ttl === undefined ? DEFAULT_OAUTH.accessTtlSeconds : from.access_ttl / 1_000,
      refreshTtlSeconds: from.refresh_ttl === undefined ? DEFAULT_OAUTH.refreshTtlSeconds : from.refresh_ttl / 1_000,
      registration: from.registration ?? DEFAULT_OAUTH.registration,
      clientDocuments: from.client_documents ?? DEFAULT_OAUTH.clientDocuments,
      ...(from.identity_assertion && { assertionIssuers: named(from.identity_assertion.issuers) }),
    }),
  );

function refuseSameIssuer(
  issuers: Readonly<Record<string, { readonly issuer: string }>>,
  context: z.RefinementCtx,
): void {
  const urls = Object.values(issuers).map(({ issuer }) => issuer);
  const refuse = (problem: string, remedy: string) =>
    context.addIssue({ code: "custom", message: joinMessage(problem, remedy) });
  if (urls.length === 0) refuse("nobody is named", "name an issuer, or remove `identity_assertion`");
  if (new Set(urls).size < urls.length) refuse("two entries are the same issuer", "remove one of them");
}
