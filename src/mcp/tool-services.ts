import type { JsonObject } from "../base/json.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import { servicesFor } from "../policy/visible-operations.ts";
import { structured, type Tool } from "./tool.ts";
import { noArguments } from "./tool-arguments.ts";

const OUTPUT = {
  type: "object",
  required: ["services"],
  properties: { services: { type: "array", items: { type: "object" } } },
} as const satisfies JsonObject;

/** `doorward_services`: what the caller may use, and nothing else. */
export function createServicesTool(deps: { readonly snapshot: () => Snapshot; readonly now: () => Date }): Tool {
  return {
    definition: {
      name: "doorward_services",
      title: "List what may be used",
      description:
        "Lists the services and operations that you may use, with their endpoints or tools, and whether a person must approve. Call it first.",
      inputSchema: { type: "object", additionalProperties: false, properties: {} },
      outputSchema: OUTPUT,
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    run(args, { principal }) {
      noArguments(args);
      return structured({ services: servicesFor(deps.snapshot(), principal, deps.now()) });
    },
  };
}
