import type { JsonObject } from "../base/json.ts";
import { PROBLEMS } from "../base/problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { Principal } from "../identity/principal.ts";
import { knowsService } from "../policy/check-agent.ts";
import type { Counters } from "../policy/counters.ts";
import { denyUnknownService } from "../policy/decision.ts";
import { explain } from "../policy/explain.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { TracedRule } from "../policy/trace.ts";
import { canonicalise } from "../request/canonicalise.ts";
import { canonicaliseMcp, MCP_METHODS, type RawMcpCall } from "../request/mcp-call.ts";
import type { RawRequest } from "../request/raw-request.ts";

/** What would become of a call, in the contract's form. */
export interface CallExplanation {
  readonly decision: "permit" | "ask" | "deny";
  readonly code?: string;
  readonly rules: readonly TracedRule[];
  readonly remedy: string;
  readonly detail?: string;
  readonly operations?: readonly string[];
  readonly request?: {
    readonly method: string;
    readonly path: string;
    readonly query: string;
    readonly dropped_headers: readonly string[];
  };
}

export type Explainer = (call: {
  readonly principal: Principal;
  readonly service: string;
  readonly raw: RawRequest;
  readonly door: "api" | "mcp";
}) => CallExplanation;

/** Makes the function that explains a call: the steps of the broker up to the decision, without any effect. */
export function createExplainer(deps: {
  readonly snapshot: () => Snapshot;
  readonly counters: Counters;
  readonly now: () => Date;
}): Explainer {
  return ({ principal, service: name, raw, door }) => {
    const snapshot = deps.snapshot();
    const service = snapshot.services.get(name);
    if (service === undefined || !knowsService(snapshot.agents.get(principal.agent), service, principal)) {
      const { detail, remedy } = denyUnknownService(name, "no_such_service");
      return { decision: "deny", code: "unknown_service", rules: [], detail, remedy };
    }
    const mcp = service.kind === "mcp" ? describedMcpCall(raw) : undefined;
    const canonical =
      mcp === undefined ? canonicalise(raw, { ...service.form, door }) : canonicaliseMcp(mcp, service.form);
    if (!canonical.ok) {
      const { code, message, remedy } = canonical.problem;
      return { decision: "deny", code, rules: [], detail: message, remedy };
    }
    const { request } = canonical;
    const { decision, rules, remedy } = explain({
      snapshot,
      principal,
      service,
      request,
      now: deps.now(),
      counters: deps.counters,
    });
    const hidden = decision.kind === "deny" && decision.code === "unknown_service";
    return {
      decision: decision.kind,
      ...(decision.kind === "deny" ? { code: decision.code, detail: decision.detail } : {}),
      ...(decision.kind === "ask" ? { code: "approval_required", detail: PROBLEMS.approval_required.title } : {}),
      // INVARIANT: of a service that the caller may not know of, nothing is told but the words for a missing one.
      rules: hidden ? [] : rules,
      remedy,
      ...(hidden ? {} : { operations: decision.operations.map(({ scope }) => scope) }),
      request: { method: request.method, path: request.path, query: request.search, dropped_headers: request.dropped },
    };
  };
}

/**
 * An MCP call as `policy explain` writes it: `tools/call` for the method, the item's name for the path, the arguments for
 * the body. A path as an explanation shows it (`/get_issue`) is read back.
 */
function describedMcpCall({ method, target, body }: RawRequest): RawMcpCall | undefined {
  const known = MCP_METHODS.find((each) => each === method);
  if (known === undefined) return undefined;
  const parsed = body === undefined ? undefined : parseStrictJson(body);
  const value = parsed?.ok === true ? parsed.value : {};
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return {
    kind: "mcp",
    method: known,
    name: target.startsWith("/") ? decoded(target.slice(1)) : target,
    arguments: isObject ? (value as JsonObject) : {},
    lossy: parsed?.ok === true && parsed.lossy,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
