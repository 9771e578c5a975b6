import { z } from "zod";
import type { JsonObject } from "../base/json.ts";
import { parseFileReference } from "./file-reference.ts";
import { parseAllowedHeader, parseCredentialHeader, parseSetHeader, parseSetHeaderValue } from "./header-rules.ts";
import { parseName, parseOperationName } from "./names.ts";
import { parsed, unparsed } from "./parsed.ts";
import { looksLikeSecret, looksRandom } from "./plaintext-secret.ts";
import { parseByteSize, parseDurationMs, parseRate } from "./quantity.ts";
import type { CredentialConfig, OperationConfig, ServiceConfig } from "./schema.ts";
import { parseSecretReference } from "./secret-reference.ts";
import { parseServiceUrl } from "./service-url.ts";
import { joinMessage, jsonObject, line, notBuilt, read, readNumeric, record } from "./zod-fields.ts";

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 600_000;
const DEFAULT_REQUEST_BYTES = 1_048_576;
const MAX_REQUEST_BYTES = 104_857_600;
const DEFAULT_RESPONSE_BYTES = 10_485_760;
const MAX_RESPONSE_BYTES = 1_073_741_824;
const DEFAULT_APPROVAL_SECONDS = 900;
const MAX_ALLOW = 1_000;
const MAX_HEADERS = 100;

/** How long an approval may be asked for: `expires` of `approval:` and `approvers:`, in milliseconds. */
export const APPROVAL_RANGE_MS = { min: SECOND_MS, max: 7 * DAY_MS };

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

const credential = z
  .discriminatedUnion("kind", [
    bearer,
    basic,
    header,
    query,
    z.looseObject({ kind: z.literal("env") }).meta({ notBuilt: true }),
    z.looseObject({ kind: z.literal("oauth2") }).meta({ notBuilt: true }),
  ])
  .transform((from, context): CredentialConfig => {
    switch (from.kind) {
      case "header":
        return { ...from, prefix: from.prefix };
      case "bearer":
      case "basic":
      case "query":
        return from;
      case "env":
      case "oauth2":
        context.addIssue({
          code: "custom",
          path: ["kind"],
          message: joinMessage(`credentials of kind \`${from.kind}\` are not built yet`, "remove it"),
        });
        return z.NEVER;
    }
  })
  .meta({ description: "How the secret gets onto a request. Absent: none is attached; all else holds." });

const approval = z
  .strictObject({
    message: line(500).optional().meta({
      description:
        "What the approver reads; `{path.NAME}`, `{query.NAME}`, `{body.NAME}` and `{preview.NAME}` are filled in.",
    }),
    preview: line(2_000)
      .optional()
      .meta({ description: "A `GET` of a `read` operation of this service that shows what will be hit." }),
    expires: read("duration", (text) => parseDurationMs(text, APPROVAL_RANGE_MS))
      .optional()
      .meta({ description: "How long the approval may be given, and then used.", standard: "15m" }),
  })
  .transform(({ message, preview, expires }) => ({
    message,
    preview,
    expiresSeconds: expires === undefined ? DEFAULT_APPROVAL_SECONDS : Math.ceil(expires / SECOND_MS),
  }));

const operation = z
  .strictObject({
    effect: z.enum(["read", "write", "destructive"]).meta({ description: "What a call can do to the service." }),
    allow: z.array(line(2_000)).min(1).max(MAX_ALLOW).meta({
      description: "Method and path: `{name}` is one segment, `{name...}` the rest, `{name:encoded}` may hold `%2F`.",
    }),
    query: jsonObject().optional().meta({ description: "JSON Schema of the query, or its properties alone." }),
    body: jsonObject().optional().meta({ description: "JSON Schema of the body, or its properties alone." }),
    ranges: z.boolean().optional().meta({ description: "Whether the `Range` header may pass.", standard: false }),
    approval: approval.optional().meta({ description: "A person must approve each call." }),
    tools: notBuilt("operations on MCP tools are"),
    prompts: notBuilt("operations on MCP prompts are"),
    resources: notBuilt("operations on MCP resources are"),
  })
  .transform(
    (from): Omit<OperationConfig, "name"> => ({
      effect: from.effect,
      allow: from.allow,
      query: from.query as JsonObject | undefined,
      body: from.body as JsonObject | undefined,
      ranges: from.ranges ?? false,
      approval: from.approval,
    }),
  );

const headers = z.strictObject({
  allow: z
    .array(read("header name", parseAllowedHeader))
    .max(MAX_HEADERS)
    .optional()
    .meta({ description: "Request headers that agents may send beyond the default list.", standard: [] }),
  set: record("header name", parseSetHeader, read("text", parseSetHeaderValue))
    .optional()
    .meta({ description: "Headers put on each request. No secret may stand here.", standard: {} }),
});

const limits = z.strictObject({
  timeout: read("duration", (text) => parseDurationMs(text, { min: 1, max: MAX_TIMEOUT_MS }))
    .optional()
    .meta({ description: "How long a call may take.", standard: "30s" }),
  request: readNumeric("size", (input) => parseByteSize(input, { min: 0, max: MAX_REQUEST_BYTES }))
    .optional()
    .meta({ description: "Largest request body.", standard: "1MiB" }),
  response: readNumeric("size", (input) => parseByteSize(input, { min: 1, max: MAX_RESPONSE_BYTES }))
    .optional()
    .meta({ description: "Largest answer.", standard: "10MiB" }),
  rate: read("rate", parseRate).optional().meta({ description: "Calls of each agent to this service." }),
});

/** An entry of `services:`. */
export const serviceEntry = z
  .strictObject({
    url: read("url", parseServiceUrl)
      .optional()
      .meta({ description: "Origin and base path; requests cannot leave them. `https` unless `private: true`." }),
    description: line(500).optional().meta({ description: "What it is, for people and agents." }),
    environment: read("name", parseName)
      .optional()
      .meta({ description: "As in `production`; agents of another environment are denied." }),
    owner: line(200).optional().meta({ description: "Who answers for it." }),
    tenant: read("name", parseName)
      .optional()
      .meta({ description: "The tenant it belongs to. Absent: for every tenant that a rule lets in." }),
    private: z.boolean().optional().meta({
      description: "May be a private or loopback address, and only such; plain `http` is possible then.",
      standard: false,
    }),
    credential: credential.optional(),
    headers: headers.optional().meta({ description: "Request headers of this service." }),
    limits: limits.optional().meta({ description: "Limits of each call." }),
    tls: z
      .strictObject({
        ca: read("file reference", parseFileReference)
          .optional()
          .meta({ description: "PEM file of further roots, as in `file:tls/ca.pem`." }),
      })
      .optional()
      .meta({ description: "How the service's certificate is verified." }),
    operations: record("operation", parseOperationName, operation)
      .optional()
      .meta({ description: "What can be called, by name; the scope is `SERVICE:OPERATION`.", standard: {} }),
    mcp: notBuilt("MCP servers are"),
    sandbox: notBuilt("sandboxes are"),
  })
  .transform((from, context): Omit<ServiceConfig, "name"> => {
    if (from.url === undefined) {
      const message = joinMessage("`url` is missing", "add `url: https://HOST`");
      if (from.mcp === undefined) context.addIssue({ code: "custom", path: ["url"], message });
      return z.NEVER;
    }
    return {
      url: from.url,
      description: from.description,
      environment: from.environment,
      owner: from.owner,
      tenant: from.tenant,
      private: from.private ?? false,
      credential: from.credential,
      headers: { allow: from.headers?.allow ?? [], set: new Map(Object.entries(from.headers?.set ?? {})) },
      limits: {
        timeoutMs: from.limits?.timeout ?? DEFAULT_TIMEOUT_MS,
        requestBytes: from.limits?.request ?? DEFAULT_REQUEST_BYTES,
        responseBytes: from.limits?.response ?? DEFAULT_RESPONSE_BYTES,
        rate: from.limits?.rate,
      },
      tls: { ca: from.tls?.ca },
      operations: named(from.operations ?? {}),
    };
  });

/** Entries with their names in them, as a map that knows no inherited keys. */
export function named<T extends object>(
  entries: Readonly<Record<string, T>>,
): ReadonlyMap<string, T & { readonly name: string }> {
  return new Map(Object.entries(entries).map(([name, entry]) => [name, { name, ...entry }]));
}

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
