import { z } from "zod";
import { parseFileReference } from "./file-reference.ts";
import { rules } from "./file-rules.ts";
import { named, serviceEntry } from "./file-service.ts";
import { DEFAULT_LISTEN, parseListenAddress } from "./listen-address.ts";
import { parseName } from "./names.ts";
import { parseNetworkBlock } from "./network-block.ts";
import { parsed, unparsed } from "./parsed.ts";
import type { Config } from "./schema.ts";
import { parseServiceUrl } from "./service-url.ts";
import { notBuilt, read, record } from "./zod-fields.ts";

const server = z.strictObject({
  listen: read("address", parseListenAddress).optional().meta({
    description: "Where HTTP is served. Beyond loopback only with `tls` or `trusted_proxies`.",
    standard: "127.0.0.1:7420",
  }),
  public_url: read("url", parsePublicUrl)
    .optional()
    .meta({ description: "How others reach Doorward: OAuth issuer and audience. Absent: the address listened on." }),
  tls: z
    .strictObject({
      cert: read("file reference", parseFileReference).meta({
        description: "PEM file of the certificate chain, as in `file:tls/cert.pem`.",
      }),
      key: read("file reference", parseFileReference).meta({
        description: "PEM file of its private key, readable by Doorward alone.",
      }),
      client_ca: notBuilt("client certificates are"),
    })
    .optional()
    .meta({ description: "Serve HTTPS. Paths are relative to the folder of this file." }),
  trusted_proxies: z
    .array(read("network", parseNetworkBlock))
    .max(1_000)
    .optional()
    .meta({ description: "Proxies that terminate TLS and may name the client's address, in CIDR.", standard: [] }),
});

/**
 * The one source of doorward.yaml's shape: its output is {@link Config}, its input side is the JSON Schema for editors
 * and `docs/reference/config.md`.
 *
 * What concerns more than one key is checked in `cross-check.ts`, so that it is reported beside faults of shape.
 */
export const fileSchema = z
  .strictObject({
    version: z.literal(1).meta({ description: "The version of this file's format." }),
    server: server.optional().meta({ description: "The daemon's own door." }),
    store: z
      .strictObject({ url: notBuilt("PostgreSQL stores are") })
      .optional()
      .meta({ description: "Where state lives. Absent: embedded SQLite in the home." }),
    services: record("name", parseName, serviceEntry)
      .optional()
      .meta({ description: "The APIs that agents may be let into.", standard: {} }),
    roles: rules.roles,
    agents: rules.agents,
    policies: rules.policies,
    secrets: notBuilt("vault backends are"),
    oauth: notBuilt("the OAuth server is"),
  })
  .transform(
    (from): Config => ({
      version: 1,
      server: {
        listen: from.server?.listen ?? DEFAULT_LISTEN,
        publicUrl: from.server?.public_url,
        tls: from.server?.tls && { cert: from.server.tls.cert, key: from.server.tls.key, clientCa: undefined },
        trustedProxies: from.server?.trusted_proxies ?? [],
      },
      store: { url: undefined },
      services: named(from.services ?? {}),
      roles: named(from.roles ?? {}),
      agents: named(from.agents ?? {}),
      policies: from.policies ?? [],
    }),
  );

function parsePublicUrl(text: string) {
  const url = parseServiceUrl(text);
  if (!url.ok) return url;
  const { protocol, host, origin, basePath } = url.value;
  if (protocol === "http:" && !/^(?:localhost|127\.[0-9.]+|::1)$/.test(host)) {
    return unparsed("the public url is plain http", "write `https://HOST`");
  }
  return parsed(`${origin}${basePath}`);
}
