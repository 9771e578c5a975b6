import { isUtf8 } from "node:buffer";
import type { Approval } from "../approvals/approval.ts";
import type { Approvals } from "../approvals/approvals.ts";
import type { JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Ask } from "../policy/decision.ts";
import type { CompiledService } from "../policy/snapshot.ts";
import type { CanonicalRequest } from "../request/canonicalise.ts";
import { requestDigest } from "../request/request-digest.ts";
import type { CallRequest } from "./call-request.ts";

/** A call whose decision is `ask`. */
export interface AskedCall {
  readonly call: CallRequest;
  readonly service: CompiledService;
  readonly request: CanonicalRequest;
  readonly decision: Ask;
  readonly now: Date;
}

export type HoldAnswer =
  /** An approval was taken for this run; it is spent, whatever becomes of the call. */
  | { readonly kind: "approved"; readonly approvalId: string }
  | { readonly kind: "refused"; readonly problem: Problem; readonly approvalId: string | undefined };

/** Answers for calls that need a person. */
export interface Holds {
  /** @throws {Problem} `store_unavailable`, `audit_unavailable`, `rate_limited`: the call must not go. */
  answer(asked: AskedCall): Promise<HoldAnswer>;
}

export interface HoldsDeps {
  readonly approvals: Approvals;
  /** Runs the preview of a call, itself a recorded call; `undefined` when it cannot be had. */
  readonly preview: (asked: AskedCall, target: string) => Promise<JsonValue | undefined>;
  /** Where a person answers: shown to the agent, to hand on. */
  readonly approvalUrl: (id: string) => string;
}

/** Turns to the store again when another repeat of the same call took the approval in between. */
const TRIES = 3;

export function createHolds(deps: HoldsDeps): Holds {
  return {
    async answer(asked) {
      const { call, request, decision, now } = asked;
      const digest = requestDigest({ agent: call.principal.agent, request });
      const held = { principal: call.principal, digest, basis: decision.approval.basis, now };
      for (let tries = 0; tries < TRIES; tries++) {
        const found = await deps.approvals.find(held);
        if (found.kind !== "granted") {
          const approval = found.kind === "none" ? await ask(deps, asked, held) : found.approval;
          return { kind: "refused", problem: refusalOf(deps, approval, found.kind), approvalId: approval.id };
        }
        const used = await deps.approvals.use({ ...held, id: found.approval.id, requestId: call.requestId });
        if (used.ok) return { kind: "approved", approvalId: used.approval.id };
      }
      throw new Problem("rate_limited", {
        detail: "the same call is being repeated too often at once",
        fields: { retry_after: 1 },
      });
    },
  };
}

type Held = {
  readonly principal: CallRequest["principal"];
  readonly digest: string;
  readonly basis: string;
  readonly now: Date;
};

async function ask(deps: HoldsDeps, asked: AskedCall, held: Held): Promise<Approval> {
  const { call, service, request, decision } = asked;
  const { message, messageWith, preview: target, expiresSeconds, quorum, separate } = decision.approval;
  const [only] = decision.operations.length === 1 ? decision.operations : [];
  const { approval } = await deps.approvals.hold({
    ...held,
    requestId: call.requestId,
    service: service.config.name,
    operation: only?.config.name,
    message,
    request: shown(service, request),
    preview: undefined,
    async prepare() {
      const preview = target === undefined ? undefined : await deps.preview(asked, target);
      return { message: messageWith(previewBody(preview)), preview };
    },
    expiresSeconds,
    quorum,
    separate,
  });
  return approval;
}

/** The whole call, as a person reads it. The credential is not in it: it is put on later. */
function shown(service: CompiledService, request: CanonicalRequest): JsonValue {
  const { method, path, search, headers, body, mcp } = request;
  if (mcp !== undefined) return { method, name: mcp.name, arguments: mcp.arguments };
  const base = service.kind === "http" ? service.config.url.origin + service.config.url.basePath : request.origin;
  return {
    method,
    url: (base ?? "") + path + search,
    headers: headers.map(([name, value]) => `${name}: ${value}`),
    body: body === undefined ? null : shownBody(body),
  };
}

function shownBody(body: Uint8Array): JsonValue {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return isUtf8(bytes) ? bytes.toString("utf8") : { base64: bytes.toString("base64") };
}

function previewBody(preview: JsonValue | undefined): JsonValue | undefined {
  if (typeof preview !== "object" || preview === null || Array.isArray(preview)) return undefined;
  return (preview as { readonly [key: string]: JsonValue })["body"];
}

function refusalOf(deps: HoldsDeps, approval: Approval, found: "none" | "pending" | "denied" | "expired"): Problem {
  const fields = {
    approval_id: approval.id,
    approval_url: deps.approvalUrl(approval.id),
    expires_at: approval.expiresAt.toISOString(),
  };
  switch (found) {
    case "none":
    case "pending":
      return new Problem("approval_required", {
        detail: `a person must approve: ${approval.message}`,
        remedy: `Wait for the approval (\`doorward_status\` with id \`${approval.id}\`), then repeat the same call. The owner answers with \`doorward approvals approve ${approval.id}\`.`,
        fields,
      });
    case "denied":
      return new Problem("approval_denied", {
        detail: approval.why === undefined ? "a person denied this call" : `a person denied this call: ${approval.why}`,
        fields,
      });
    case "expired":
      return new Problem("approval_expired", { fields });
  }
}
