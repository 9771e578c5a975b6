import { PROBLEMS } from "../base/problem.ts";
import type { Principal } from "../identity/principal.ts";
import { knowsService } from "../policy/check-agent.ts";
import type { Counters } from "../policy/counters.ts";
import { denyUnknownService } from "../policy/decision.ts";
import { explain } from "../policy/explain.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { TracedRule } from "../policy/trace.ts";
import { canonicalise } from "../request/canonicalise.ts";
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
    const canonical = canonicalise(raw, { ...service.form, door });
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
