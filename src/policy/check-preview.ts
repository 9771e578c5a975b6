import { canonicalise } from "../request/canonicalise.ts";
import type { OperationMatcher } from "../request/operation-matcher.ts";
import type { MessageTemplate } from "./message-template.ts";
import type { CompiledOperation } from "./snapshot.ts";

/** What stands for a value while a preview is checked. */
const SAMPLE = "sample";

/**
 * Whether a preview is a plain read: `GET` of a path that an operation with `effect: read` of the same service allows,
 * and no other operation does.
 *
 * @returns The fault, or `undefined`.
 */
export function checkPreview(
  preview: MessageTemplate,
  matcher: OperationMatcher<CompiledOperation>,
): { problem: string; remedy: string } | undefined {
  const text = preview.parts.map((part) => (typeof part === "string" ? part : SAMPLE)).join("");
  if (!text.startsWith("GET /")) {
    return { problem: "a preview must be a GET", remedy: 'Write `preview: "GET /path/{path.name}?key={query.key}"`.' };
  }
  const canonical = canonicalise(
    { method: "GET", target: text.slice("GET ".length), headers: [], body: undefined },
    PREVIEW_FORM,
  );
  if (!canonical.ok)
    return { problem: `the preview has no plain form: ${canonical.problem.message}`, remedy: canonical.problem.remedy };
  const found = matcher.match(canonical.request).map(({ operation }) => operation);
  if (found.length > 0 && found.every(({ effect }) => effect === "read")) return undefined;
  return {
    problem: "no operation with `effect: read` of this service allows the preview",
    remedy: "Add its path to an operation with `effect: read`.",
  };
}

const PREVIEW_FORM = {
  service: "preview",
  door: "mcp",
  allowHeaders: new Set<string>(),
  setHeaders: new Map<string, string>(),
  ranges: false,
  requestBytes: 0,
  credential: {},
} as const;
