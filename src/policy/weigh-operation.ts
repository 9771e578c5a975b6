import { EvaluationError } from "@marcbachmann/cel-js";
import { CelTooLarge } from "./cel-values.ts";
import { type CelContext, type NowView, type PrincipalView, RequestView } from "./cel-views.ts";
import { celWork, MAX_CEL_WORK } from "./compile-expression.ts";
import { type Circumstances, findMismatch } from "./policy-applies.ts";
import { ambiguousRead, type RequestReader, readsAny } from "./request-reader.ts";
import type { CompiledAgent, CompiledOperation, CompiledPolicy, CompiledRole, CompiledService } from "./snapshot.ts";
import type { Trace } from "./trace.ts";

/** What the rules say about one operation: a list for each strength. */
export interface Verdict {
  readonly operation: CompiledOperation;
  readonly errors: readonly RuleError[];
  readonly forbids: readonly CompiledPolicy[];
  readonly asks: readonly CompiledPolicy[];
  readonly permits: readonly (CompiledPolicy | CompiledRole)[];
}

/** A rule that could not be evaluated. */
export interface RuleError {
  readonly rule: string;
  /** `not_canonical` where the request, not the rule, is at fault. */
  readonly code: "denied" | "not_canonical";
  readonly reason: string;
  /** One clause for the caller, about the rule; never a value of the request. */
  readonly detail: string;
}

/** What all operations of one decision share. */
export interface Hearing {
  readonly agent: CompiledAgent;
  readonly service: CompiledService;
  readonly circumstances: Circumstances;
  readonly reader: RequestReader;
  readonly principal: PrincipalView;
  readonly now: NowView;
  /** Spent so far, in units of {@link MAX_CEL_WORK}. */
  work: number;
  readonly trace: Trace;
}

/** Puts every rule that speaks of the operation to the question. Order is irrelevant: all are asked. */
export function weighOperation(
  operation: CompiledOperation,
  params: ReadonlyMap<string, string>,
  hearing: Hearing,
): Verdict {
  const verdict = {
    operation,
    errors: [] as RuleError[],
    forbids: [] as CompiledPolicy[],
    asks: [] as CompiledPolicy[],
    permits: [] as (CompiledPolicy | CompiledRole)[],
  };
  const { agent, service } = hearing;
  for (const role of agent.roles) {
    const matched = operation.rules.roles.has(role.name) || service.everywhere.roles.has(role.name);
    if (matched) verdict.permits.push(role);
    hearing.trace?.push({ id: role.rule, effect: "permit", matched, why: roleWhy(matched, operation) });
  }
  const request = new RequestView(hearing.reader, params);
  for (const rules of [operation.rules.policies, service.everywhere.policies]) {
    for (const policies of [rules.any, rules.byAgent.get(agent.config.name)]) {
      if (policies === undefined) continue;
      for (const policy of policies) hear(policy, request, hearing, verdict);
    }
  }
  return verdict;
}

function hear(
  policy: CompiledPolicy,
  request: RequestView,
  hearing: Hearing,
  verdict: { operation: CompiledOperation; errors: RuleError[] } & Record<"forbids" | "asks" | "permits", unknown[]>,
): void {
  const { rule, effect } = policy;
  const mismatch = findMismatch(policy, verdict.operation.effect, hearing.circumstances);
  if (mismatch !== undefined) {
    hearing.trace?.push({ id: rule, effect, matched: false, why: `\`${mismatch}\` does not hold for this call` });
    return;
  }
  const answer = policy.when === undefined ? true : evaluate(policy, verdict.operation, request, hearing);
  if (typeof answer !== "boolean") {
    verdict.errors.push(answer);
    hearing.trace?.push({ id: rule, effect, matched: true, why: answer.detail });
    return;
  }
  hearing.trace?.push({ id: rule, effect, matched: answer, why: whenWhy(policy, answer, verdict.operation) });
  if (answer) verdict[`${effect}s`].push(policy);
}

/** Evaluates a condition; whatever goes wrong is an error of the rule, never a `false`. */
function evaluate(
  policy: CompiledPolicy,
  operation: CompiledOperation,
  request: RequestView,
  hearing: Hearing,
): boolean | RuleError {
  const { when, rule } = policy;
  if (when === undefined) return true;
  const { reader } = hearing;
  const { review } = when;
  try {
    if (review.readsRequest) {
      const { content } = reader.request;
      if (content.kind === "json" && content.lossy && readsAny(review.reads.body)) {
        return notCanonical(rule, "the body holds a number that cannot be read exactly, and a rule reads the body");
      }
      const ambiguous = ambiguousRead(review, reader.request);
      if (ambiguous !== undefined) return notCanonical(rule, `the ${ambiguous} stands twice, and a rule reads it`);
    }
    hearing.work += celWork(review, reader.sizeFor(review));
    if (hearing.work > MAX_CEL_WORK)
      return ruleError(rule, "policy_work", "the request is too large for the rules to read");
    const context: CelContext = { principal: hearing.principal, operation: operation.view, request, now: hearing.now };
    return when.evaluate(context);
  } catch (error) {
    if (error instanceof CelTooLarge) {
      return ruleError(rule, "policy_work", "the body is too large for the rules to read");
    }
    // Whatever a condition throws, an engine's fault included, must deny this call and name the rule.
    const code = error instanceof EvaluationError ? error.code : error instanceof Error ? error.name : "unknown";
    return ruleError(rule, `policy_error ${code}`, `the condition of \`${rule}\` cannot be decided for this request`);
  }
}

function notCanonical(rule: string, detail: string): RuleError {
  return { rule, code: "not_canonical", reason: "ambiguous_for_rule", detail };
}

function ruleError(rule: string, reason: string, detail: string): RuleError {
  return { rule, code: "denied", reason, detail };
}

function roleWhy(matched: boolean, { scope }: CompiledOperation): string {
  return matched ? `allows \`${scope}\`` : `does not allow \`${scope}\``;
}

function whenWhy({ when, effect }: CompiledPolicy, matched: boolean, { scope }: CompiledOperation): string {
  if (when === undefined) return `speaks of \`${scope}\` (${effect})`;
  return matched ? `its condition holds for \`${scope}\`` : `its condition does not hold for \`${scope}\``;
}
