import { z } from "zod";
import { parseCredentialHeader } from "./header-rules.ts";
import { parseHostPort } from "./host-port.ts";
import { parsed, unparsed } from "./parsed.ts";
import { looksLikeSecret, looksRandom } from "./plaintext-secret.ts";
import { parseSandboxFile } from "./sandbox-path.ts";
import type { CredentialConfig } from "./schema.ts";
import { parseSecretReference } from "./secret-reference.ts";
import { parseVariableName } from "./server-environment.ts";
import { parseServiceUrl } from "./service-url.ts";
import { read } from "./zod-fields.ts";

const MAX_HOSTS = 100;
const MAX_SCOPES = 100;

const secret = read("secret reference", parseSecretReference).meta({
  description:
    "Reference to the secret: `local:NAME`, `env:NAME`, `file:PATH` or `keychain:NAME`. Never the secret itself.",
});

const bearer = z.strictObject({
  kind: z.literal("bearer").meta({ description: "Sent as `Authorization: Bearer SECRET`." }),
  secret,
});
const basic = z.strictObject({
  kind: z.literal("basic").meta({ description: "Sent as `Authorization: Basic …`." }),
  username: read("text", parseUsername).meta({ description: "The user name; the secret is the password." }),
  secret,
});
const header = z.strictObject({
  kind: z.literal("header").meta({ description: "Sent in a header of its own." }),
  name: read("header name", parseCredentialHeader).meta({ description: "The header, as in `X-Api-Key`." }),
  secret,
  prefix: read("text", parsePrefix).optional().meta({ description: "Put before the secret, as in `Token `." }),
});
const query = z.strictObject({
  kind: z.literal("query").meta({ description: "Sent as a query parameter." }),
  name: read("query parameter", parseQueryName).meta({ description: "The parameter, as in `api_key`." }),
  secret,
});
const env = z.strictObject({
  kind: z.literal("env").meta({
    description: "A placeholder in the environment of a server that Doorward starts (`mcp.command`).",
  }),
  name: read("variable", parseVariableName).meta({ description: "The variable, as in `GITHUB_TOKEN`." }),
  secret,
  hosts: z.array(read("host", parseHostPort)).min(1).max(MAX_HOSTS).meta({
    description:
      "Where the placeholder becomes the secret: `HOST` or `HOST:PORT` (443). The sandbox opens these hosts too.",
  }),
  place: z
    .enum(["header", "query", "body"])
    .optional()
    .meta({ description: "Where in a request the server puts it.", standard: "header" }),
  file: read("path", parseSandboxFile)
    .optional()
    .meta({ description: "A file in the sandbox that holds the placeholder too." }),
});
const oauth2 = z.strictObject({
  kind: z.literal("oauth2").meta({
    description: "A token of an MCP server elsewhere (`mcp.url`), which Doorward gets as an OAuth client.",
  }),
  grant: z.enum(["authorization_code", "client_credentials"]).optional().meta({
    description:
      "How the token is got. `authorization_code`: a person signs in, with `doorward service login NAME`; `client_credentials`: as Doorward itself.",
    standard: "authorization_code",
  }),
  client_id: read("text", parseClientId)
    .optional()
    .meta({ description: "As which client Doorward is registered there. Absent: it registers itself." }),
  secret: secret.optional().meta({ description: "Reference to the client's secret, where it has one." }),
  scopes: z
    .array(read("text", parseScope))
    .max(MAX_SCOPES)
    .optional()
    .meta({ description: "Asked for. Empty: what the server's metadata name.", standard: [] }),
  token_endpoint: read("url", parseTokenEndpoint)
    .optional()
    .meta({ description: "Absent: found by the server's metadata." }),
});

/** The key `credential` of a service. Which kind fits which service is for `shape-service.ts`. */
export const credentialEntry = z
  .discriminatedUnion("kind", [bearer, basic, header, query, env, oauth2])
  .transform((from): CredentialConfig => {
    switch (from.kind) {
      case "bearer":
      case "basic":
      case "query":
        return from;
      case "header":
        return { ...from, prefix: from.prefix };
      case "env":
        return { ...from, place: from.place ?? "header", file: from.file };
      case "oauth2":
        return {
          kind: "oauth2",
          secret: from.secret,
          clientId: from.client_id,
          grant: from.grant ?? "authorization_code",
          scopes: from.scopes ?? [],
          tokenEndpoint: from.token_endpoint,
        };
      default:
        return from satisfies never;
    }
  })
  .meta({ description: "How the secret gets onto a request. Absent: none is attached; all else holds." });

function parseUsername(text: string) {
  if (looksLikeSecret(text)) {
    return unparsed(
      "the user name looks like a secret",
      "store it with `doorward secret set NAME --stdin` and use `kind: bearer`",
    );
  }
  return /^[^\p{Cc}:]{0,255}$/u.test(text)
    ? parsed(text)
    : unparsed("the user name cannot be sent", "write it without `:` and control characters");
}

function parsePrefix(text: string) {
  if (looksLikeSecret(text) || looksRandom(text)) {
    return unparsed("the prefix looks like a secret", "store it with `doorward secret set NAME --stdin`");
  }
  return /^[\x21-\x7e][\x20-\x7e]{0,63}$/.test(text)
    ? parsed(text)
    : unparsed("the prefix cannot be sent", "write visible ASCII characters, at most 64");
}

function parseQueryName(text: string) {
  if (looksLikeSecret(text))
    return unparsed("the name looks like a secret", "write the parameter's name, as in `api_key`");
  const remedy = "write the parameter's name, as in `api_key`";
  if (!/^[A-Za-z0-9._~\-[\]]{1,100}$/.test(text)) return unparsed("this is not a name of a query parameter", remedy);
  return /method/i.test(text) ? unparsed("this parameter overrides the method on some servers", remedy) : parsed(text);
}

/** RFC 6749 appendix A.1: VSCHAR. */
function parseClientId(text: string) {
  return /^[\x20-\x7e]{1,500}$/.test(text)
    ? parsed(text)
    : unparsed("this is not a client id", "write visible ASCII characters, at most 500");
}

/** RFC 6749 §3.3: scope-token. */
function parseScope(text: string) {
  return /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/.test(text)
    ? parsed(text)
    : unparsed("this is not one scope", "write one scope per item, without white space and quotes");
}

function parseTokenEndpoint(text: string) {
  const url = parseServiceUrl(text);
  return url.ok ? parsed(url.value.origin + (new URL(text).pathname || "/")) : url;
}
