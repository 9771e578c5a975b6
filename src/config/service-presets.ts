/** What a well-known API's own clients need to pass, beside the default list. */
export interface ServicePreset {
  /** For `headers.allow`, as the vendor writes them. */
  readonly headers: readonly string[];
}

/**
 * Presets of `doorward service add --preset`, by name. Each is a start that stands in the file afterwards; nothing
 * refers to the preset later. Headers that could change whose data is reached are left out where the vendor has such.
 *
 * @see Each vendor's API reference, on its request headers.
 */
export const SERVICE_PRESETS: ReadonlyMap<string, ServicePreset> = new Map([
  ["anthropic", { headers: ["anthropic-version", "anthropic-beta"] }],
  ["github", { headers: ["X-GitHub-Api-Version"] }],
  ["notion", { headers: ["Notion-Version"] }],
  ["openai", { headers: ["OpenAI-Beta"] }],
  ["stripe", { headers: ["Stripe-Version"] }],
]);
