import type { JsonValue } from "../base/json.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import { type ApprovalTerms, type Deny, deny } from "./decision.ts";
import { digestOf } from "./digest.ts";
import type { MatchedOperation } from "./match-operations.ts";
import type { MessageTemplate, TemplateValues } from "./message-template.ts";
import { readsBody, renderMessage, renderPreview, showValue } from "./render-message.ts";
import { readableBody } from "./request-reader.ts";
import type { CompiledPolicy, CompiledService } from "./snapshot.ts";

/** How long a question stands when neither the operation nor a policy says. */
export const DEFAULT_APPROVAL_SECONDS = 15 * 60;

/**
 * How a person is to be asked about a request: of all operations and policies that ask, the strictest terms.
 *
 * @param matched - By scope, at least one.
 * @returns A denial when a message or preview names something that the request lacks: a person must not be asked
 * a question with a hole in it.
 */
export function approvalTerms(
  matched: readonly MatchedOperation[],
  asks: readonly CompiledPolicy[],
  call: { readonly service: CompiledService; readonly request: CanonicalRequest },
): ApprovalTerms | Deny {
  const { request } = call;
  const lossy = request.content.kind === "json" && request.content.lossy;
  if (lossy && matched.some(({ operation }) => readsBody(operation.message) || readsBody(operation.preview))) {
    return deny("not_canonical", {
      reason: "ambiguous_for_message",
      detail: "the body holds a number that cannot be shown exactly to the person who is asked",
      remedy: "Send the number as a string, or with fewer digits.",
    });
  }
  const messages: ((preview: JsonValue | undefined) => string)[] = [];
  let preview: string | undefined;
  for (const { operation, params } of matched) {
    const values = templateValues(request, params);
    const message = fillMessage(operation.message, values, () => `${operation.scope}: ${describe(request)}`);
    if (typeof message === "string") return lacking(message, operation.scope);
    messages.push(message);
    if (operation.preview === undefined || preview !== undefined) continue;
    const rendered = renderPreview(operation.preview, values);
    if (!rendered.ok) return lacking(rendered.missing, operation.scope);
    preview = rendered.target;
  }
  const messageWith = (answer: JsonValue | undefined): string =>
    [...new Set(messages.map((message) => message(answer)))].join("; ");
  return { message: messageWith(undefined), messageWith, preview, ...strictest(matched, asks) };
}

function strictest(matched: readonly MatchedOperation[], asks: readonly CompiledPolicy[]) {
  const expiries = [
    ...matched.map(({ operation }) => operation.config.approval?.expiresSeconds),
    ...asks.map(({ config }) => config.approvers?.expiresSeconds),
  ].filter((seconds) => seconds !== undefined);
  return {
    expiresSeconds: expiries.length === 0 ? DEFAULT_APPROVAL_SECONDS : Math.min(...expiries),
    quorum: Math.max(1, ...asks.map(({ config }) => config.approvers?.quorum ?? 1)),
    separate: asks.some(({ config }) => config.approvers?.separate === true),
    basis: digestOf({
      operations: matched.map(({ operation }) => operation.digest).sort(),
      policies: [...new Set(asks.map(({ digest }) => digest))].sort(),
    }),
  };
}

/** @returns The message as a function of the preview, or the placeholder that has no value. */
function fillMessage(
  template: MessageTemplate | undefined,
  values: Omit<TemplateValues, "preview">,
  fallback: () => string,
): string | ((preview: JsonValue | undefined) => string) {
  if (template === undefined) return fallback;
  const first = renderMessage(template, { ...values, preview: undefined });
  if (!first.ok) return first.missing;
  return (preview) => {
    const rendered = renderMessage(template, { ...values, preview });
    return rendered.ok ? rendered.text : first.text;
  };
}

function templateValues(request: CanonicalRequest, path: ReadonlyMap<string, string>): Omit<TemplateValues, "preview"> {
  const query = new Map<string, string[]>();
  for (const [key, value = ""] of request.query) query.set(key, [...(query.get(key) ?? []), value]);
  return { path, query, body: readableBody(request), arguments: request.mcp?.arguments };
}

function describe({ method, path, search, origin, mcp }: CanonicalRequest): string {
  if (mcp !== undefined) return showValue(`${method} ${mcp.name}`);
  return showValue(`${method} ${origin ?? ""}${path}${search}`);
}

function lacking(placeholder: string, scope: string): Deny {
  return deny("invalid_request", {
    reason: "message_hole",
    detail: `\`${scope}\` is approved by a message that names \`${placeholder}\`, which the request lacks`,
    remedy: `Send one value for \`${placeholder}\`.`,
  });
}
