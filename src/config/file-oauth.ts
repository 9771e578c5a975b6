import { z } from "zod";
import { parseDurationMs } from "./quantity.ts";
import type { OAuthConfig } from "./schema.ts";
import { read } from "./zod-fields.ts";

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
  })
  .transform(
    (from): OAuthConfig => ({
      accessTtlSeconds: from.access_ttl === undefined ? DEFAULT_OAUTH.accessTtlSeconds : from.access_ttl / 1_000,
      refreshTtlSeconds: from.refresh_ttl === undefined ? DEFAULT_OAUTH.refreshTtlSeconds : from.refresh_ttl / 1_000,
      registration: from.registration ?? DEFAULT_OAUTH.registration,
      clientDocuments: from.client_documents ?? DEFAULT_OAUTH.clientDocuments,
    }),
  );
