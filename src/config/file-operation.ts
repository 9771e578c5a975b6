import { z } from "zod";
import type { JsonObject } from "../base/json.ts";
import { parsed, unparsed } from "./parsed.ts";
import { parseDurationMs } from "./quantity.ts";
import type { OperationConfig } from "./schema.ts";
import { jsonObject, line, read } from "./zod-fields.ts";

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
const DEFAULT_APPROVAL_SECONDS = 900;
const MAX_ALLOW = 1_000;
const MAX_ITEM_CHARS = 1_000;

/** How long an approval may be asked for: `expires` of `approval:` and `approvers:`, in milliseconds. */
export const APPROVAL_RANGE_MS = { min: SECOND_MS, max: 7 * DAY_MS };

const approval = z
  .strictObject({
    message: line(500).optional().meta({
      description:
        "What the approver reads; `{path.NAME}`, `{query.NAME}`, `{body.NAME}`, `{arguments.NAME}` and `{preview.NAME}` are filled in.",
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

const itemPatterns = (description: string) =>
  z.array(read("item pattern", parseItemPattern)).min(1).max(MAX_ALLOW).optional().meta({ description });

/** An entry of `operations:`. Which keys fit which service is for `shape-service.ts`. */
export const operationEntry = z
  .strictObject({
    effect: z.enum(["read", "write", "destructive"]).meta({ description: "What a call can do to the service." }),
    allow: z.array(line(2_000)).min(1).max(MAX_ALLOW).optional().meta({
      description:
        "Method and path: `{name}` is one segment, `{name...}` the rest, `{name:encoded}` may hold `%2F`. Of an MCP server that Doorward starts: what the server itself may request.",
    }),
    query: jsonObject().optional().meta({ description: "JSON Schema of the query, or its properties alone." }),
    body: jsonObject().optional().meta({ description: "JSON Schema of the body, or its properties alone." }),
    ranges: z.boolean().optional().meta({ description: "Whether the `Range` header may pass.", standard: false }),
    approval: approval.optional().meta({ description: "A person must approve each call." }),
    tools: itemPatterns("Tools of an MCP server, by its own names; `*` stands for any characters."),
    prompts: itemPatterns("Prompts of an MCP server, likewise."),
    resources: itemPatterns("Resources of an MCP server, by their URIs, likewise."),
    arguments: jsonObject()
      .optional()
      .meta({ description: "JSON Schema of the arguments of tools and prompts, or its properties alone." }),
  })
  .transform(
    (from): Omit<OperationConfig, "name"> => ({
      effect: from.effect,
      allow: from.allow ?? [],
      query: from.query as JsonObject | undefined,
      body: from.body as JsonObject | undefined,
      tools: from.tools ?? [],
      prompts: from.prompts ?? [],
      resources: from.resources ?? [],
      arguments: from.arguments as JsonObject | undefined,
      ranges: from.ranges ?? false,
      approval: from.approval,
    }),
  );

/** A tool's or prompt's name, or a URI, with stars. What no call can name is a typo. */
function parseItemPattern(text: string) {
  if (text === "" || text.length > MAX_ITEM_CHARS || /\p{Cc}/u.test(text) || text !== text.trim()) {
    return unparsed(
      "this is not a pattern of names",
      "write a name of the server's own, as in `get_issue` or `search_*`",
    );
  }
  return parsed(text.replace(/\*{2,}/g, "*"));
}
