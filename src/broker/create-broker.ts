/**
 * The waist of the hourglass: every call, through whichever door, passes through {@link createBroker}'s `call`.
 * It is one file so that the order of its steps (decide, record, credential, send, scrub, record, answer) is read in one place.
 */

import type { AuditEvent, AuditLog, CallTie } from "../audit/event.ts";
import { Problem } from "../base/problem.ts";
import { pairingsOf } from "../config/credential-pairings.ts";
import type { CredentialConfig } from "../config/schema.ts";
import type { AnswerSink, Exchange } from "../egress/answer.ts";
import type { OutboundRequest } from "../egress/outbound-request.ts";
import { knowsService } from "../policy/check-agent.ts";
import type { LocalCounters } from "../policy/counters.ts";
import { type Decision, decide, type Question } from "../policy/decide.ts";
import { deny, denyKilled, denyUnknownService } from "../policy/decision.ts";
import { findKill, type Kill } from "../policy/kills.ts";
import type { CompiledService, Snapshot } from "../policy/snapshot.ts";
import type { CanonicalRequest } from "../request/canonical-request.ts";
import type { Lease, Vault } from "../vault/create-vault.ts";
import type { ActiveCall, ActiveCalls, KillableCall } from "./active-calls.ts";
import { approvedRelay } from "./approved-relay.ts";
import { completedEvent, decidedEvent, type Outcome, refusedEvent } from "./call-events.ts";
import type { CallRequest, RunningCall } from "./call-request.ts";
import { canonicaliseCall } from "./canonicalise-call.ts";
import { decideEgressCall } from "./decide-egress-call.ts";
import type { Holds } from "./hold-call.ts";
import { prepareOutbound } from "./prepare-outbound.ts";
import { decideOwnCall } from "./preview-call.ts";
import type { RecentDecisions } from "./recent-decisions.ts";
import type { ItemPins, Relay, UpstreamSender } from "./upstream-call.ts";

export interface BrokerDeps {
  /** The rules in force now, kills included. Read once per call; kills are read again when the evidence is durable. */
  readonly snapshot: () => Snapshot;
  readonly audit: AuditLog;
  readonly counters: LocalCounters;
  readonly vault: Pick<Vault, "lease">;
  readonly egress: { send(request: OutboundRequest, sink: AnswerSink): Exchange };
  /** Where MCP calls go. */
  readonly upstreams: UpstreamSender;
  readonly pins: ItemPins;
  readonly holds: Holds;
  readonly active: ActiveCalls;
  readonly recent: RecentDecisions;
  readonly now: () => Date;
  /** Told of each finished call: metrics. */
  readonly finished: (outcome: Outcome & { readonly service: string; readonly code: string | undefined }) => void;
  /** Told of what is our own fault; never of anything that a caller sent. */
  readonly fault: (error: unknown, requestId: string) => void;
}

type LeasedCredential = { readonly credential: CredentialConfig; readonly lease: Lease } | undefined;

export interface Broker {
  /**
   * Runs one call.
   *
   * @param sink - Gets the answer, or one `fail`. Its `end` comes after the outcome is durable.
   */
  call(request: CallRequest, sink: AnswerSink): RunningCall;
}

/** Why an exchange was ended by us; what the outcome's code says. */
const CLIENT_CLOSED = "client_closed";

/** What is remembered of a call for `doorward_explain`: characters of its refusal, names of its dropped headers. */
const REMEMBERED_CHARACTERS = 1_024;
const REMEMBERED_NAME = 64;
const REMEMBERED_NAMES = 32;

export function createBroker(deps: BrokerDeps): Broker {
  return {
    call(request, sink) {
      const running = new Running(deps, request, sink);
      running.run().catch((error: unknown) => running.failed(asProblem(deps, error, request.requestId)));
      return running;
    },
  };
}

/** One call's life; the steps are in `run`, in order. */
class Running implements RunningCall, ActiveCall {
  slot = -1;
  killable: KillableCall;
  streaming = false;
  truncated = false;

  readonly #deps: BrokerDeps;
  readonly #request: CallRequest;
  readonly #sink: AnswerSink;
  readonly #tie: CallTie = { slot: -1 };
  readonly #startedAt = performance.now();
  #exchange: Exchange | undefined;
  /** Why the call must not go on, set by a kill or by its caller's leaving. */
  #stopped: { readonly problem: Problem; readonly code: string } | undefined;
  #sent = false;
  #over = false;
  #status: number | undefined;
  #bytes = 0;
  /** As far as the call was judged: what its events say of it. */
  #judged: { readonly decision: Decision; readonly canonical: CanonicalRequest } | undefined;
  /** Whether the decision is durable, so that its outcome must be too. */
  #recorded = false;

  constructor(deps: BrokerDeps, request: CallRequest, sink: AnswerSink) {
    this.#deps = deps;
    this.#request = request;
    this.#sink = sink;
    const service = { config: { name: request.service, credential: undefined } };
    this.killable = { principal: request.principal, service, scopes: [] };
  }

  get redacted(): number {
    return this.#exchange?.redacted ?? 0;
  }

  async run(): Promise<void> {
    const { audit, now } = this.#deps;
    const digest = (value: string | Uint8Array) => audit.digest(value);
    const snapshot = this.#deps.snapshot();
    const { principal } = this.#request;
    const service = snapshot.services.get(this.#request.service);
    if (service === undefined || !this.#mayKnow(snapshot, service)) {
      return this.#deny(unknownService(this.#request.service), undefined, undefined);
    }
    const canonical = canonicaliseCall(this.#request, service);
    if (!canonical.ok) return this.#deny(canonical.problem, undefined, undefined);
    const { request } = canonical;

    const at = now();
    const { counters } = this.#deps;
    let decision =
      this.#request.own === undefined
        ? this.#decide({ snapshot, principal, service, request, now: at, counters })
        : decideOwnCall(this.#request.own, service, request);
    if (request.mcp !== undefined) decision = this.#unlessHeld(decision, request);
    this.#judged = { decision, canonical: request };
    let approval: string | undefined;
    if (decision.kind === "ask") {
      counters.count(decision.rates, principal.agent, at);
      const held = await this.#deps.holds.answer({ call: this.#request, service, request, decision, now: at });
      if (held.kind === "refused") return this.#deny(held.problem, decision, request, { approval: held.approvalId });
      approval = held.approvalId;
      decision = { kind: "permit", rules: decision.rules, operations: decision.operations, rates: [] };
    } else if (decision.kind === "deny") {
      return this.#deny(denial(decision), decision, request);
    } else {
      counters.count(decision.rates, principal.agent, at);
    }

    this.#judged = { decision, canonical: request };
    this.killable = { principal, service, scopes: decision.operations.map(({ scope }) => scope) };
    this.#deps.active.add(this);

    const { rules } = decision;
    let remembered = false;
    const remember = () => {
      if (!remembered) this.#remember("permit", undefined, rules, request);
      remembered = true;
    };
    await audit.append(
      decidedEvent({ call: this.#request, snapshot, decision, request, approval, digest, tie: this.#tie }),
      remember,
    );
    this.#recorded = true;
    remember();

    this.#checkStopped();
    const leased = this.#lease(service, request);
    const lease = leased instanceof Promise ? await leased : leased;
    if (leased instanceof Promise) this.#checkStopped();
    const { relay } = this.#request;
    const told = approval === undefined || relay === undefined ? relay : approvedRelay(relay);
    this.#send((sink) => this.#begin(service, request, { lease, relay: told }, sink));
  }

  /** Hands the call to whoever speaks to its service. */
  #begin(
    service: CompiledService,
    request: CanonicalRequest,
    { lease, relay }: { readonly lease: LeasedCredential; readonly relay: Relay | undefined },
    sink: AnswerSink,
  ): Exchange {
    const { egress, upstreams } = this.#deps;
    const { requestId, principal, publicBase, door, egress: program } = this.#request;
    if (service.kind === "mcp" && request.mcp !== undefined) {
      const { timeoutMs, responseBytes } = service.config.limits;
      return upstreams.send({ requestId, principal, service, request, lease, relay, timeoutMs, responseBytes }, sink);
    }
    const placeholder = program?.placeholder;
    return egress.send(prepareOutbound({ service, request, lease, publicBase, door, placeholder }), sink);
  }

  #decide(question: Question): Decision {
    return this.#request.egress === undefined ? decide(question) : decideEgressCall(question, this.#request);
  }

  /** Nobody is asked to approve what was changed behind everybody's back: a pin denies before a person is asked. */
  #unlessHeld(decision: Decision, { mcp }: CanonicalRequest): Decision {
    if (decision.kind === "deny") return decision;
    const held = this.#deps.pins.held(this.#request.service, mcp!);
    if (held === undefined) return decision;
    const { message: detail, remedy, fields } = held;
    const rules = fields.rule === undefined ? [] : [fields.rule];
    return deny("denied", { rules, operations: decision.operations, reason: "held", detail, remedy });
  }

  /** Asked before the request is read: what is wrong with it would tell that the service is there. */
  #mayKnow(snapshot: Snapshot, service: CompiledService): boolean {
    const { principal, own, egress } = this.#request;
    return (
      own !== undefined ||
      egress?.by === "server" ||
      knowsService(snapshot.agents.get(principal.agent), service, principal)
    );
  }

  /** A kill or a departure that came while the evidence was being written, or the credential fetched. */
  #checkStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped.problem;
    const kill = findKill(this.#deps.snapshot().kills, this.killable);
    if (kill !== undefined) throw killed(kill);
  }

  #lease(service: CompiledService, request: CanonicalRequest): LeasedCredential | Promise<LeasedCredential> {
    const { name, credential } = service.config;
    const origin = leaseOrigin(service, request);
    if (credential?.secret === undefined || origin === undefined) return undefined;
    const pairing = { service: name, origin };
    const lease = this.#deps.vault.lease(credential.secret, pairing, this.#deps.now());
    return lease instanceof Promise ? lease.then((given) => ({ credential, lease: given })) : { credential, lease };
  }

  #send(begin: (sink: AnswerSink) => Exchange): void {
    this.#sent = true;
    this.#exchange = begin({
      head: (head) => {
        this.#status = head.status;
        this.streaming = true;
        this.#sink.head(head);
      },
      data: (chunk) => {
        this.#bytes += chunk.length;
        return this.#sink.data(chunk);
      },
      end: () => this.#finish(undefined),
      fail: (problem) => this.#finish(problem),
    });
    if (this.#stopped !== undefined) this.#exchange.abort(this.#stopped.problem);
  }

  /** Records the outcome, then lets the answer's last byte go. */
  #finish(problem: Problem | undefined): void {
    if (this.#over) return;
    this.#over = true;
    // Answers of the mcp door are cut at the limit; whoever streams has sent a head that promised the whole.
    this.truncated = problem?.code === "upstream_too_large" && this.#request.door === "mcp" && this.streaming;
    const ended = problem === undefined || this.truncated;
    const code = ended ? undefined : (this.#stopped?.code ?? problem.code);
    const outcome = this.#outcome(ended ? undefined : problem);
    const { decision } = this.#judged!;
    if (this.streaming) this.#sink.settling?.();
    void this.#settle(
      completedEvent({ call: this.#request, decision, outcome, code, tie: this.#tie }),
      { ...outcome, service: this.#request.service, code },
      ended ? undefined : problem,
    );
  }

  /** Answers when the outcome is durable; when it cannot be, the answer is withheld. Never rejects. */
  async #settle(
    event: AuditEvent,
    finished: Parameters<BrokerDeps["finished"]>[0],
    problem: Problem | undefined,
  ): Promise<void> {
    let ending = problem;
    try {
      await this.#deps.audit.append(event, problem === undefined ? this.#meanwhile : undefined);
    } catch (error) {
      asProblem(this.#deps, error, this.#request.requestId);
      if (this.#sent || problem === undefined) ending = outcomeLost();
    }
    this.#answer(ending, finished);
  }

  readonly #meanwhile = (): void => {
    try {
      this.#sink.meanwhile?.();
    } catch (error) {
      this.#deps.fault(error, this.#request.requestId);
    }
  };

  /** The one place where a call ends for its door. A door that throws is our fault, and the end of no other call. */
  #answer(problem: Problem | undefined, finished: Parameters<BrokerDeps["finished"]>[0]): void {
    this.#over = true;
    try {
      if (problem === undefined) this.#sink.end();
      else this.#sink.fail(problem);
      this.#deps.finished(finished);
    } catch (error) {
      this.#deps.fault(error, this.#request.requestId);
    } finally {
      this.#deps.active.remove(this);
    }
  }

  #outcome(problem: Problem | undefined): Outcome {
    return {
      status: this.#status,
      bytes: this.#bytes,
      redacted: this.redacted,
      truncated: this.truncated,
      sent: this.#sent,
      durationMs: Math.round((performance.now() - this.#startedAt) * 100) / 100,
      reason: problem?.reason,
    };
  }

  /**
   * Ends a call that one of its steps threw out of. A recorded decision gets its outcome; what nobody put on record yet
   * is a refusal, and recorded as one. Never rejects.
   */
  async failed(problem: Problem): Promise<void> {
    if (this.#recorded) return this.#finish(problem);
    const { decision, canonical } = this.#judged ?? {};
    try {
      await this.#deny(problem, decision, canonical);
    } catch {
      this.#remember("deny", problem, [], canonical);
      this.#refuse(problem);
    }
  }

  /** A refusal is evidence as well; when it cannot be written the caller learns that instead. */
  async #deny(
    problem: Problem,
    decision: Decision | undefined,
    request: CanonicalRequest | undefined,
    more: { readonly approval?: string | undefined } = {},
  ): Promise<void> {
    await this.#deps.audit.append(
      refusedEvent({
        call: this.#request,
        problem,
        decision,
        request,
        approval: more.approval,
        digest: (value) => this.#deps.audit.digest(value),
      }),
    );
    const kind = problem.code === "approval_required" ? "ask" : "deny";
    this.#remember(kind, problem, decision?.rules ?? [], request);
    this.#refuse(problem);
  }

  #refuse(problem: Problem): void {
    if (this.#over) return;
    this.#answer(problem, { ...this.#outcome(problem), service: this.#request.service, code: problem.code });
  }

  #remember(
    decision: Decision["kind"],
    problem: Problem | undefined,
    rules: readonly string[],
    request: CanonicalRequest | undefined,
  ): void {
    const { agent, client, user, tenant } = this.#request.principal;
    this.#deps.recent.remember(this.#request.requestId, {
      agent,
      client,
      user,
      tenant,
      decision,
      code: problem?.code,
      // Of a service that the caller may not know of, nothing is told but the words for a missing one.
      rules: problem?.code === "unknown_service" ? [] : rules,
      detail: problem?.message.slice(0, REMEMBERED_CHARACTERS) ?? "",
      remedy: problem?.remedy ?? "",
      // Names that no header of anybody has are not worth their memory.
      dropped: (request?.dropped ?? []).filter((name) => name.length <= REMEMBERED_NAME).slice(0, REMEMBERED_NAMES),
    });
  }

  resume(): void {
    this.#exchange?.resume();
  }

  leave(): void {
    this.#stop({ problem: new Problem("invalid_request", { detail: "the caller went away" }), code: CLIENT_CLOSED });
  }

  stop(kill: Kill): boolean {
    return this.#stop({ problem: killed(kill), code: "killed" });
  }

  #stop(why: { readonly problem: Problem; readonly code: string }): boolean {
    if (this.#over || this.#stopped !== undefined) return false;
    this.#stopped = why;
    this.#exchange?.abort(why.problem);
    return true;
  }
}

/** Where the secret would go; `undefined` when nothing of this call needs it. */
function leaseOrigin(service: CompiledService, { origin }: CanonicalRequest): string | undefined {
  if (service.kind === "http") return service.config.url.origin;
  // A server's own request carries the secret to the places that are named for it, and nothing to the others, whose answers
  // are looked through for it all the same: what the one was sent, the other may show.
  if (origin !== undefined) {
    const places = pairingsOf(service.config).map((pair) => pair.origin);
    return places.includes(origin) ? origin : places[0];
  }
  const { server } = service.config;
  return server.transport === "http" ? server.url.origin : undefined;
}

/** The words of a decision that the same kill would have denied. */
function killed(kill: Kill): Problem {
  return denial(denyKilled(kill));
}

function denial(decision: Decision & { kind: "deny" }): Problem {
  return new Problem(decision.code, {
    detail: decision.detail,
    remedy: decision.remedy,
    reason: decision.reason,
    fields: {
      ...(decision.rules[0] === undefined ? {} : { rule: decision.rules[0] }),
      ...(decision.scopes === undefined ? {} : { scope: decision.scopes.join(" ") }),
      ...(decision.retryAfterSeconds === undefined ? {} : { retry_after: decision.retryAfterSeconds }),
    },
  });
}

/** The same words as for a service that the caller may not know of. */
function unknownService(name: string): Problem {
  const denial = denyUnknownService(name, "no_such_service");
  return new Problem("unknown_service", { detail: denial.detail, remedy: denial.remedy, reason: denial.reason });
}

function outcomeLost(): Problem {
  return new Problem("internal_error", {
    detail: "the call was sent, but its outcome could not be recorded, so the answer is withheld",
    remedy: "Do not repeat it blindly: find out at the service whether it took effect.",
  });
}

function asProblem(deps: BrokerDeps, error: unknown, requestId: string): Problem {
  if (error instanceof Problem) return error;
  deps.fault(error, requestId);
  return new Problem("internal_error", { cause: error });
}
