import { isObject, type JsonObject, type JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Explainer } from "../broker/explain-call.ts";
import type { Principal } from "../identity/principal.ts";
import { splitName } from "./exposed-names.ts";
import { structured, type Tool } from "./tool.ts";
import { onlyArguments } from "./tool-arguments.ts";
import { REQUEST_INPUT, readCall } from "./tool-request.ts";

const INPUT = {
  type: "object",
  additionalProperties: false,
  properties: {
    request_id: { type: "string", description: "Of one of your own calls" },
    ...REQUEST_INPUT.properties,
    tool: {
      type: "string",
      description: "Instead of method and path: a tool of an MCP server, by either of its names",
    },
    arguments: { type: "object", description: "Of the tool" },
  },
} as const satisfies JsonObject;

const OUTPUT = {
  type: "object",
  required: ["decision", "rules", "remedy"],
  properties: {
    decision: { type: "string" },
    rules: { type: "array", items: { type: "object" } },
    remedy: { type: "string" },
  },
} as const satisfies JsonObject;

/** What is known of an earlier call; `undefined` when it is not the caller's, or long ago. */
export type FindDecision = (
  requestId: string,
  principal: Principal,
) => { readonly [key: string]: JsonValue } | undefined;

/** A call of a tool, in the words of a request. */
function readToolCall(call: JsonObject): ReturnType<typeof readCall> {
  onlyArguments(call, ["service", "tool", "arguments", "purpose"]);
  const { tool, service = splitName(`${tool}`)?.prefix, arguments: args = {}, purpose } = call;
  if (typeof tool !== "string" || typeof service !== "string" || !isObject(args)) {
    throw new Problem("invalid_request", { detail: "`service` and `tool` must be texts, `arguments` an object" });
  }
  if (purpose !== undefined && typeof purpose !== "string") {
    throw new Problem("invalid_request", { detail: "`purpose` must be a text" });
  }
  const prefix = `${service}__`;
  const target = tool.startsWith(prefix) ? tool.slice(prefix.length) : tool;
  const body = Buffer.from(JSON.stringify(args), "utf8");
  return { service, raw: { method: "tools/call", target, headers: [], body }, purpose };
}

/** `doorward_explain`: why a call was refused, or what would become of one; nothing is sent, counted or asked. */
export function createExplainTool(deps: { readonly explainer: Explainer; readonly findDecision: FindDecision }): Tool {
  return {
    definition: {
      name: "doorward_explain",
      title: "Explain a decision",
      description:
        "Tells why one of your calls was decided as it was (request_id), or what would become of one (its arguments).",
      inputSchema: INPUT,
      outputSchema: OUTPUT,
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    run(args, context) {
      const { request_id: requestId, ...call } = args;
      if (requestId === undefined) {
        const { service, raw, purpose } = call["tool"] === undefined ? readCall(call, context) : readToolCall(call);
        const principal = purpose === undefined ? context.principal : { ...context.principal, purpose };
        return structured(deps.explainer({ principal, service, raw, door: "mcp" }));
      }
      onlyArguments(args, ["request_id"]);
      if (typeof requestId !== "string")
        throw new Problem("invalid_request", { detail: "`request_id` must be a text" });
      const found = deps.findDecision(requestId, context.principal);
      if (found === undefined) {
        throw new Problem("not_found", {
          detail: "none of your recent calls has this id",
          remedy: "Use the `request_id` of a refusal, or pass the arguments of the call.",
        });
      }
      return structured(found);
    },
  };
}
