import type { JsonObject } from "../base/json.ts";

/** What an upstream server offers: each definition as the server gave it, scrubbed, in the server's order. */
export interface Surface {
  readonly tools: readonly JsonObject[];
  readonly prompts: readonly JsonObject[];
  readonly resources: readonly JsonObject[];
  readonly resourceTemplates: readonly JsonObject[];
  readonly instructions: string | undefined;
  /** As the server declared them. */
  readonly capabilities: JsonObject;
  /** SHA-256, hex, over all of the above: equal surfaces have equal digests. */
  readonly digest: string;
}
