import type { Rate } from "../config/schema.ts";
import type { Principal } from "../identity/principal.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import { actingAgent } from "./acting-agent.ts";
import { approvalTerms } from "./approval-terms.ts";
import { NowView, PrincipalView } from "./cel-views.ts";
import {
  type AgentRefusal,
  checkAgent,
  checkEnvironment,
  checkPurpose,
  effectivePurpose,
  knowsService,
} from "./check-agent.ts";
import { checkScopes } from "./check-scopes.ts";
import type { Counters } from "./counters.ts";
import { DEFAULT_RULE, type Decision, type Deny, deny, denyKilled, denyUnknownService } from "./decision.ts";
import { killOfOperation, killOfPrincipal, killOfService } from "./kills.ts";
import { type MatchedOperation, matchOperations } from "./match-operations.ts";
import { type LazyAddress, lazyAddress } from "./network.ts";
import { createRequestReader } from "./request-reader.ts";
import type { CompiledAgent, CompiledOperation, CompiledService, CountedRate, Snapshot } from "./snapshot.ts";
import type { Trace } from "./trace.ts";
import { type Hearing, type Verdict, weighOperation } from "./weigh-operation.ts";
import { utcClock } from "./zone-clock.ts";

export type { Decision } from "./decision.ts";

/** One question put to the decision point: may this principal send this request, to that service, now? */
export interface Question {
  readonly snapshot: Snapshot;
  /** Already authenticated. */
  readonly principal: Principal;
  readonly service: CompiledService;
  /** The form that will be sent. */
  readonly request: CanonicalRequest;
  readonly now: Date;
  readonly counters: Pick<Counters, "room">;
}

/**
 * Decides one call.
 *
 * Kills first; then whether the agent may act at all; then the rules. The strictest answer wins, whatever their order:
 * error, then forbid, then ask, then permit; with no permit, deny. Of several operations that match, each must be
 * permitted on its own. An ask does not permit: it holds what something else permits.
 *
 * @returns Never throws for anything that a request holds. Cost is linear in the rules that name this operation and
 * agent; no I/O, no clock, and nothing is counted: that is for who lets the call go on.
 */
export function decide(question: Question, trace?: Trace): Decision {
  const { snapshot, principal, service, request, now } = question;
  const address = lazyAddress(principal.ip);
  const agent = actingAgent(snapshot, principal);
  const refused = gate(question, agent, { address, trace });
  if (refused !== undefined || agent === undefined) return refused ?? unknownAgent();

  const matching = matchOperations(service, request);
  if (!matching.ok) {
    trace?.push({ id: DEFAULT_RULE, effect: "deny", matched: true, why: matching.detail });
    return deny(matching.code, { reason: matching.code, detail: matching.detail, remedy: matching.remedy });
  }
  const { matched } = matching;
  for (const { operation } of matched) {
    const kill = killOfOperation(snapshot.kills, operation.scope);
    if (kill !== undefined) return traced(denyKilled(kill, operationsOf(matched)), trace);
  }
  const purpose = effectivePurpose(agent, principal);
  const environment = principal.environment ?? service.config.environment;
  const hearing: Hearing = {
    agent,
    service,
    circumstances: { principal, purpose, environment, address, now },
    reader: createRequestReader(request),
    principal: new PrincipalView(principal, { purpose, roles: agent.roleNames }),
    now: new NowView(now, utcClock),
    work: 0,
    trace,
  };
  const verdicts = matched.map(({ operation, params }) => weighOperation(operation, params, hearing));
  return judge(question, matched, verdicts, trace);
}

/** What is refused before any rule is asked. */
function gate(
  question: Question,
  agent: CompiledAgent | undefined,
  { address, trace }: { readonly address: LazyAddress; readonly trace: Trace },
): Deny | undefined {
  const { snapshot, principal, service, now } = question;
  const kill = killOfPrincipal(snapshot.kills, principal);
  if (kill !== undefined) return traced(denyKilled(kill), trace);
  if (agent === undefined) return traced(unknownAgent(), trace);
  const unfit = checkAgent(agent, { principal, address, now });
  if (unfit !== undefined) return traced(denyAgent(unfit), trace);
  if (!knowsService(agent, service, principal)) {
    return traced(denyUnknownService(service.config.name, "service_hidden"), trace);
  }
  const stopped = killOfService(snapshot.kills, service);
  if (stopped !== undefined) return traced(denyKilled(stopped), trace);
  const misplaced = checkEnvironment(service, principal) ?? checkPurpose(agent, principal);
  return misplaced === undefined ? undefined : traced(denyAgent(misplaced), trace);
}

/** Takes the strictest of what the rules said. */
function judge(
  question: Question,
  matched: readonly MatchedOperation[],
  verdicts: readonly Verdict[],
  trace: Trace,
): Decision {
  const { principal, service, request } = question;
  const operations = operationsOf(matched);
  if (verdicts.some(({ errors }) => errors.length > 0)) return denyError(verdicts, operations);
  if (verdicts.some(({ forbids }) => forbids.length > 0)) return denyForbidden(verdicts, operations);
  if (verdicts.some(({ permits }) => permits.length === 0)) {
    const bare = scopesOf(verdicts.filter(({ permits }) => permits.length === 0));
    trace?.push({ id: DEFAULT_RULE, effect: "deny", matched: true, why: `nothing permits \`${bare}\`` });
    return deny("denied", {
      operations,
      reason: "no_rule_matched",
      detail: `no rule lets \`${principal.agent}\` use \`${bare}\``,
      remedy: `Ask the owner for a role that allows \`${bare}\`.`,
    });
  }
  const narrow = checkScopes(principal, operations, trace);
  if (narrow !== undefined) return narrow;
  const ranged = request.headers.some(([name]) => name === "range");
  if (ranged && operations.some(({ config }) => !config.ranges)) {
    return deny("header_refused", {
      operations,
      reason: "range_refused",
      detail: "`range` may pass only where the operation says `ranges: true`",
      remedy: "Leave `Range` out, or ask the owner to set `ranges: true`.",
    });
  }
  const rates = ratesOf(service, verdicts);
  const full = checkRates(question, rates, trace);
  if (full !== undefined) return { ...full, operations };
  return permitOrAsk(question, { matched, operations, verdicts, rates, trace });
}

function denyError(verdicts: readonly Verdict[], operations: readonly CompiledOperation[]): Deny {
  const errors = verdicts.flatMap((verdict) => verdict.errors).sort((a, b) => (a.rule < b.rule ? -1 : 1));
  const error = errors[0]!;
  const remedy =
    error.code === "not_canonical"
      ? "Send the named part in a form that is read in one way only."
      : `Ask the owner to correct \`${error.rule}\`, or send what its condition reads.`;
  return deny(error.code, {
    rules: sorted(errors.map(({ rule }) => rule)),
    operations,
    reason: error.reason,
    detail: error.detail,
    remedy,
  });
}

function denyForbidden(verdicts: readonly Verdict[], operations: readonly CompiledOperation[]): Deny {
  const forbids = sorted(verdicts.flatMap((verdict) => verdict.forbids.map(({ rule }) => rule)));
  return deny("denied", {
    rules: forbids,
    operations,
    reason: "forbidden",
    detail: `\`${forbids[0]}\` forbids \`${scopesOf(verdicts.filter(({ forbids: by }) => by.length > 0))}\``,
    remedy: "Do something else, or ask the owner whether the policy should allow this.",
  });
}

interface Heard {
  readonly matched: readonly MatchedOperation[];
  readonly operations: readonly CompiledOperation[];
  readonly verdicts: readonly Verdict[];
  readonly rates: readonly CountedRate[];
  readonly trace: Trace;
}

function permitOrAsk(question: Question, { matched, operations, verdicts, rates, trace }: Heard): Decision {
  const isHeld =
    verdicts.some(({ asks }) => asks.length > 0) || operations.some(({ config }) => config.approval !== undefined);
  if (!isHeld) return { kind: "permit", rules: permittingRules(verdicts), operations, rates };

  const policies = [...new Set(verdicts.flatMap(({ asks }) => asks))];
  const asking = operations.filter(({ config }) => config.approval !== undefined);
  for (const { scope } of asking) {
    trace?.push({ id: `operation:${scope}`, effect: "ask", matched: true, why: "the operation has `approval`" });
  }
  const rules = sorted([...asking.map(({ scope }) => `operation:${scope}`), ...policies.map(({ rule }) => rule)]);
  const approval = approvalTerms(matched, policies, question);
  if ("kind" in approval) return { ...approval, rules, operations };
  return { kind: "ask", rules, operations, rates, approval };
}

function permittingRules(verdicts: readonly Verdict[]): readonly string[] {
  const [first] = verdicts;
  if (verdicts.length === 1 && first?.permits.length === 1) return [first.permits[0]!.rule];
  return sorted(verdicts.flatMap(({ permits }) => permits.map(({ rule }) => rule)));
}

const NO_RATES: readonly CountedRate[] = [];

/** The rates of the service and of every rule that permits or asks; one rule counts once. */
function ratesOf(service: CompiledService, verdicts: readonly Verdict[]): readonly CountedRate[] {
  let rates: Map<string, CountedRate> | undefined;
  const add = (rule: string, rate: Rate | undefined) => {
    if (rate === undefined) return;
    rates ??= new Map();
    rates.set(rule, { rule, rate });
  };
  if (service.rate !== undefined) add(service.rate.rule, service.rate.rate);
  for (const { permits, asks } of verdicts) {
    for (const rule of permits) add(rule.rule, "config" in rule ? rule.config.rate : rule.rate);
    for (const { rule, config } of asks) add(rule, config.rate);
  }
  return rates === undefined ? NO_RATES : [...rates.values()].sort((a, b) => (a.rule < b.rule ? -1 : 1));
}

function checkRates({ counters, principal, now }: Question, rates: readonly CountedRate[], trace: Trace) {
  let worst: { rule: string; retryAfterSeconds: number } | undefined;
  for (const { rule, rate } of rates) {
    const room = counters.room(rule, principal.agent, rate, now);
    const text = `${rate.count} in ${rate.perSeconds} s`;
    trace?.push({
      id: rule,
      effect: "limit",
      matched: !room.ok,
      why: room.ok ? `has room (${text})` : `is used up (${text})`,
    });
    if (!room.ok && room.retryAfterSeconds > (worst?.retryAfterSeconds ?? -1)) {
      worst = { rule, retryAfterSeconds: room.retryAfterSeconds };
    }
  }
  if (worst === undefined) return undefined;
  const { rule, retryAfterSeconds } = worst;
  return deny("rate_limited", {
    rules: [rule],
    reason: "rate_limited",
    detail: `the rate of \`${rule}\` is used up`,
    remedy: `Wait ${retryAfterSeconds} seconds.`,
    retryAfterSeconds,
  });
}

function unknownAgent(): Deny {
  return deny("denied", {
    reason: "unknown_agent",
    detail: "the agent of this key is not in doorward.yaml",
    remedy: "Ask the owner to add the agent, or use another key.",
  });
}

function denyAgent({ reason, detail, remedy }: AgentRefusal): Deny {
  return deny("denied", { reason, detail, remedy });
}

function traced(denial: Deny, trace: Trace): Deny {
  trace?.push({ id: denial.rules[0] ?? DEFAULT_RULE, effect: "deny", matched: true, why: denial.detail });
  return denial;
}

function operationsOf(matched: readonly MatchedOperation[]) {
  return matched.map(({ operation }) => operation);
}

function scopesOf(verdicts: readonly Verdict[]): string {
  return verdicts.map(({ operation }) => operation.scope).join(", ");
}

function sorted(rules: Iterable<string>): readonly string[] {
  return [...new Set(rules)].sort();
}
