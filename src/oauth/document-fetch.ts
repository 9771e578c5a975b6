import { Problem } from "../base/problem.ts";
import type { ServiceUrl } from "../config/schema.ts";
import { parseServiceUrl } from "../config/service-url.ts";

/** Fetches a small public document: private addresses are blocked, no redirect is followed. */
export type FetchDocument = (url: ServiceUrl) => Promise<Uint8Array>;

/**
 * Makes the only `fetch` that oidc-provider has: GET of a document at a plain https URL.
 *
 * @returns Rejects for anything else, and for what cannot be had.
 */
export function documentFetch(fetchDocument: FetchDocument): (url: string) => Promise<Response> {
  return async (text) => {
    const url = parseServiceUrl(text);
    if (!url.ok || url.value.protocol !== "https:" || `${url.value.origin}${url.value.basePath}` !== text) {
      throw new Problem("upstream_forbidden_address", { detail: "only a plain https URL is fetched" });
    }
    const bytes = await fetchDocument(url.value);
    return new Response(Buffer.from(bytes), { status: 200, headers: { "content-type": "application/json" } });
  };
}
