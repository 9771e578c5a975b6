import type { CanonicalMcpCall } from "../request/canonical-request.ts";
import { anyMatches } from "./glob.ts";
import { globMeetsTemplate } from "./glob-template.ts";
import type { OperationItems } from "./snapshot.ts";

/** An item of an MCP server: what it is, and its own name, URI or URI template. */
export type McpItem = Pick<CanonicalMcpCall, "item" | "name">;

/**
 * Whether an operation speaks of an item. Names are compared as they stand, case included.
 *
 * A template is spoken of when some URI that it can make is.
 */
export function speaksOf(items: OperationItems, { item, name }: McpItem): boolean {
  switch (item) {
    case "tool":
      return anyMatches(items.tools, name);
    case "prompt":
      return anyMatches(items.prompts, name);
    case "resource":
      return anyMatches(items.resources, name);
    case "template":
      return items.resources.some(({ text }) => globMeetsTemplate(text, name));
    default:
      return item satisfies never;
  }
}
