import type { JsonObject } from "../base/json.ts";
import type { Effect } from "../config/schema.ts";
import type { Surface } from "./surface.ts";

/** An operation as `doorward.yaml` would have it. */
export interface ProposedOperation {
  readonly effect: Effect;
  readonly tools?: readonly string[];
  readonly prompts?: readonly string[];
  readonly resources?: readonly string[];
}

/**
 * Proposes operations for a server that the owner has just added, for the owner to look at: one per effect, named after it.
 *
 * What a server says of its tools is a hint, so it may only make them look worse: whatever is not said to be read-only writes.
 * A tool that wrongly says so stands under `read` in the file, in the open.
 *
 * @returns Nothing under an effect that no item has.
 */
export function proposeOperations(surface: Surface): { readonly [name: string]: ProposedOperation } {
  const tools = { read: [] as string[], write: [] as string[], destructive: [] as string[] };
  for (const tool of surface.tools) {
    const name = tool["name"];
    // A `*` in a file is a pattern, so that a tool of such a name must be written by hand.
    if (typeof name === "string" && !name.includes("*")) tools[effectOf(tool)].push(name);
  }
  const data = {
    ...(surface.prompts.length > 0 ? { prompts: ["*"] } : {}),
    ...(surface.resources.length + surface.resourceTemplates.length > 0 ? { resources: ["*"] } : {}),
  };
  const operations: Record<string, ProposedOperation> = {};
  for (const effect of ["read", "write", "destructive"] as const) {
    const named = tools[effect].length > 0 ? { tools: tools[effect].sort() } : {};
    const entry = effect === "read" ? { ...named, ...data } : named;
    if (Object.keys(entry).length > 0) operations[effect] = { effect, ...entry };
  }
  return operations;
}

function effectOf(tool: JsonObject): Effect {
  const hints = (tool["annotations"] ?? {}) as JsonObject;
  if (hints["destructiveHint"] === true) return "destructive";
  return hints["readOnlyHint"] === true ? "read" : "write";
}
