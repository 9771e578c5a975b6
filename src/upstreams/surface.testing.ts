import type { JsonObject } from "../base/json.ts";
import type { Surface } from "./surface.ts";
import { surfaceDigest } from "./surface-digest.ts";

/** A surface with the given parts. */
export function surfaceOf(parts: Partial<Omit<Surface, "digest">> = {}): Surface {
  const whole = {
    tools: [],
    prompts: [],
    resources: [],
    resourceTemplates: [],
    instructions: undefined,
    capabilities: {},
    ...parts,
  };
  return { ...whole, digest: surfaceDigest(whole) };
}

/** A tool as a server would list it. */
export function toolOf(name: string, changes: JsonObject = {}): JsonObject {
  return {
    name,
    description: `does ${name}`,
    inputSchema: { type: "object", properties: { a: { type: "string" } } },
    ...changes,
  };
}
