import { z } from "zod";
import { issuerEntry } from "./file-issuers.ts";
import { DEFAULT_OAUTH, oauthEntry } from "./file-oauth.ts";
import { peopleEntry } from "./file-people.ts";
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
      client_ca: read("file reference", parseFileReference)
        .optional()
        .meta({ description: "PEM file of who issues client certificates. Absent: none is asked for." }),
      client_crl: read("file reference", parseFileReference)
        .optional()
        .meta({ description: "PEM file of client certificates that were taken back. Expired, it lets none in." }),
    })
    .optional()
    .meta({ description: "Serve HTTPS. Paths are relative to the folder of this file." }),
  trusted_proxies: z
    .array(read("network", parseNetworkBlock))
    .max(1_000)
    .optional()
    .meta({ description: "Proxies that terminate TLS and may name the client's address, in CIDR.", standard: [] }),
  client_certificate_header: read("header name", parseCertificateHeader).optional().meta({
    description:
      "Header in which a proxy of `trusted_proxies` names the client certificate that it verified, and which it takes from nobody else.",
  }),
  legacy_sse: z.boolean().optional().meta({
    description: "Serve `/sse` and `/messages` too, the transport of 2024-11-05, for clients that know no other.",
    standard: false,
  }),
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
      .meta({ description: "The APIs and MCP servers that agents may be let into.", standard: {} }),
    roles: rules.roles,
    agents: rules.agents,
    policies: rules.policies,
    trusted_issuers: record("name", parseName, issuerEntry)
      .optional()
      .meta({ description: "Issuers whose tokens prove agents: Kubernetes, CI systems.", standard: {} }),
    people: peopleEntry
      .optional()
      .meta({ description: "Where people log in. Absent: with one-time links and passkeys." }),
    secrets: notBuilt("vault backends are"),
    oauth: oauthEntry.optional().meta({ description: "The OAuth server that gives tokens to clients." }),
  })
  .transform(
    (from): Config => ({
      version: 1,
      server: {
        listen: from.server?.listen ?? DEFAULT_LISTEN,
        publicUrl: from.server?.public_url,
        tls: from.server?.tls && {
          cert: from.server.tls.cert,
          key: from.server.tls.key,
          clientCa: from.server.tls.client_ca,
          clientCrl: from.server.tls.client_crl,
        },
        clientCertificateHeader: from.server?.client_certificate_header,
        trustedProxies: from.server?.trusted_proxies ?? [],
        legacySse: from.server?.legacy_sse ?? false,
      },
      store: { url: undefined },
      oauth: from.oauth ?? DEFAULT_OAUTH,
      services: named(from.services ?? {}),
      roles: named(from.roles ?? {}),
      agents: named(from.agents ?? {}),
      policies: from.policies ?? [],
      trustedIssuers: named(from.trusted_issuers ?? {}),
      people: from.people,
    }),
  );

function parseCertificateHeader(text: string) {
  if (/^[A-Za-z][A-Za-z0-9-]{0,99}$/.test(text) && !/^(?:authorization|cookie|host|x-forwarded-for)$/i.test(text))
    return parsed(text.toLowerCase());
  return unparsed("that header cannot carry a certificate", "write one of its own, as in `X-Client-Cert`");
}

function parsePublicUrl(text: string) {
  const url = parseServiceUrl(text);
  if (!url.ok) return url;
  const { protocol, host, origin, basePath } = url.value;
  if (protocol === "http:" && !/^(?:localhost|127\.[0-9.]+|::1)$/.test(host)) {
    return unparsed("the public url is plain http", "write `https://HOST`");
  }
  return parsed(`${origin}${basePath}`);
}
