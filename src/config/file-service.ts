import { z } from "zod";
import { credentialEntry } from "./file-credential.ts";
import { mcpEntry, sandboxEntry, sandboxOf } from "./file-mcp.ts";
import { operationEntry } from "./file-operation.ts";
import { parseFileReference } from "./file-reference.ts";
import { parseAllowedHeader, parseSetHeader, parseSetHeaderValue } from "./header-rules.ts";
import { parseName, parseOperationName } from "./names.ts";
import { parseByteSize, parseDurationMs, parseRate } from "./quantity.ts";
import { parseServiceUrl } from "./service-url.ts";
import { type AddFault, shapeService } from "./shape-service.ts";
import { joinMessage, line, read, readNumeric, record } from "./zod-fields.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 600_000;
const DEFAULT_REQUEST_BYTES = 1_048_576;
const MAX_REQUEST_BYTES = 104_857_600;
const DEFAULT_RESPONSE_BYTES = 10_485_760;
const MAX_RESPONSE_BYTES = 1_073_741_824;
const MAX_HEADERS = 100;

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
    credential: credentialEntry.optional(),
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
    operations: record("operation", parseOperationName, operationEntry)
      .optional()
      .meta({ description: "What can be called, by name; the scope is `SERVICE:OPERATION`.", standard: {} }),
    mcp: mcpEntry.optional(),
    sandbox: sandboxEntry.optional(),
  })
  .transform((from, context) => {
    let faulty = false;
    const add: AddFault = (path, problem, remedy) => {
      faulty = true;
      context.addIssue({ code: "custom", path: [...path], message: joinMessage(problem, remedy) });
    };
    const shaped = shapeService(
      {
        url: from.url,
        mcp: from.mcp,
        sandbox: { written: from.sandbox !== undefined, config: sandboxOf(from.sandbox) },
        credential: from.credential,
        operations: named(from.operations ?? {}),
      },
      add,
    );
    if (shaped === undefined || faulty) return z.NEVER;
    return {
      ...shaped,
      description: from.description,
      environment: from.environment,
      owner: from.owner,
      tenant: from.tenant,
      private: from.private ?? false,
      headers: { allow: from.headers?.allow ?? [], set: new Map(Object.entries(from.headers?.set ?? {})) },
      limits: {
        timeoutMs: from.limits?.timeout ?? DEFAULT_TIMEOUT_MS,
        requestBytes: from.limits?.request ?? DEFAULT_REQUEST_BYTES,
        responseBytes: from.limits?.response ?? DEFAULT_RESPONSE_BYTES,
        rate: from.limits?.rate,
      },
      tls: { ca: from.tls?.ca },
    };
  });

/** Entries with their names in them, as a map that knows no inherited keys. */
export function named<T extends object>(
  entries: Readonly<Record<string, T>>,
): ReadonlyMap<string, T & { readonly name: string }> {
  return new Map(Object.entries(entries).map(([name, entry]) => [name, { name, ...entry }]));
}
