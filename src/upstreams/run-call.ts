import { asObject, type JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Turns } from "../base/turns.ts";
import type { UpstreamCall } from "../broker/upstream-call.ts";
import type { AnswerSink, Exchange } from "../egress/answer.ts";
import { createCallClock } from "./call-clock.ts";
import { callParams } from "./call-params.ts";
import { mcpParamHeaders } from "./mcp-param-headers.ts";
import type { ParkedCalls } from "./parked-calls.ts";
import { type CallClock, PendingCall } from "./pending-call.ts";
import { parseRequestState, printRequestState } from "./round-state.ts";
import { UpstreamRpcError } from "./rpc-problem.ts";
import { scrubInTurns } from "./scrub-result.ts";
import type { Upstream } from "./upstream.ts";

export interface RunCallDeps {
  /** The connection for a call, opened, its surface judged. */
  acquire(call: UpstreamCall): Promise<Upstream>;
  /** Whether the item is held, now that the surface was looked at. @throws {Problem} the refusal. */
  checkPins(call: UpstreamCall): void;
  readonly parked: ParkedCalls;
  /** Of large answers, which are looked through piece by piece. */
  readonly turns: Turns;
  readonly nowMs: () => number;
}

/** A server may ask so often within one call. */
const ROUNDS_MAX = 10;

/** Runs one call at its upstream. The sink is told of everything; never before this has returned. */
export function runCall(deps: RunCallDeps, call: UpstreamCall, sink: AnswerSink): Exchange {
  const run = new CallRun(deps, call, sink);
  queueMicrotask(() => void run.run());
  return run;
}

/** What has to be sent to begin a request, or to repeat it with answers. */
interface Round {
  readonly answers: JsonObject;
  readonly state: string | undefined;
}

const FIRST: Round = { answers: {}, state: undefined };

/** One call, from its caller's side. A class because it lives as long as the call and owns its deadline. */
class CallRun implements Exchange {
  redacted = 0;
  readonly #deps: RunCallDeps;
  readonly #call: UpstreamCall;
  readonly #sink: AnswerSink;
  readonly #clock: CallClock & { stop(): void };
  #pending: PendingCall | undefined;
  #upstream: Upstream | undefined;
  #over = false;

  constructor(deps: RunCallDeps, call: UpstreamCall, sink: AnswerSink) {
    this.#deps = deps;
    this.#call = call;
    this.#sink = sink;
    this.#clock = createCallClock(call.timeoutMs, deps.nowMs, () => this.abort(new Problem("upstream_timeout")));
  }

  resume(): void {
    // The answer is one piece; there is nothing to hold back.
  }

  abort(problem: Problem): void {
    this.#pending?.drop("cancelled");
    this.#end(() => this.#sink.fail(problem));
  }

  async run(): Promise<void> {
    try {
      const upstream = await this.#deps.acquire(this.#call);
      this.#upstream = upstream;
      upstream.usedAtMs = this.#deps.nowMs();
      if (this.#over) return;
      this.#deps.checkPins(this.#call);
      this.#checkTool(upstream);
      if (this.#subscribes()) await this.#subscribe(upstream);
      else await this.#request(upstream);
    } catch (error) {
      await this.#fail(error);
    } finally {
      if (this.#upstream !== undefined) this.#upstream.usedAtMs = this.#deps.nowMs();
    }
  }

  /** @throws {UpstreamRpcError} what the caller's side finds wrong; the server never hears of the call. */
  #checkTool({ surface }: Upstream): void {
    const { request, relay } = this.#call;
    if (relay?.toolFault === undefined || request.mcp?.method !== "tools/call") return;
    const { name: wanted } = request.mcp;
    const definition = surface?.tools.find(({ name }) => name === wanted);
    const fault = definition === undefined ? undefined : relay.toolFault(definition);
    if (fault !== undefined) throw new UpstreamRpcError(fault.code, fault.message, undefined);
  }

  async #request(upstream: Upstream): Promise<void> {
    let { pending, round } = this.#resumed();
    for (let rounds = 0; !this.#over; rounds++) {
      if (rounds > ROUNDS_MAX) throw new Problem("upstream_invalid", { detail: "the server asks without end" });
      pending ??= this.#begin(upstream, round);
      this.#pending = pending;
      const news = await pending.news();
      if (this.#over) return;
      if (news.kind === "asks") return this.#park(pending);
      upstream.calls.delete(pending);
      if (news.kind === "error") throw news.error;
      if (news.result["resultType"] !== "input_required") return this.#deliver(200, news.result);
      const next = await this.#inputRequired(upstream, news.result);
      if (next === undefined) return;
      pending = undefined;
      round = next;
    }
  }

  /** Where an earlier call of the same client stopped. */
  #resumed(): { pending: PendingCall | undefined; round: Round } {
    const { relay } = this.#call;
    if (relay?.requestState === undefined) return { pending: undefined, round: FIRST };
    const state = parseRequestState(relay.requestState);
    if (state === undefined) throw staleState();
    const responses = relay.inputResponses ?? {};
    if (state.kind === "relayed") {
      return { pending: undefined, round: { answers: { ...responses, ...state.answers }, state: state.state } };
    }
    const pending = this.#deps.parked.take(state.id, this.#call);
    if (pending === undefined) throw staleState();
    pending.relay = relay;
    pending.clock = this.#clock;
    pending.requestIds.push(this.#call.requestId);
    pending.answer(responses);
    return { pending, round: FIRST };
  }

  #begin(upstream: Upstream, { answers, state }: Round): PendingCall {
    const { call } = { call: this.#call };
    const mcp = call.request.mcp!;
    const pending = new PendingCall(call);
    pending.clock = this.#clock;
    upstream.calls.add(pending);
    const params = {
      ...callParams(mcp, call.relay),
      ...(Object.keys(answers).length === 0 ? {} : { inputResponses: answers }),
      ...(state === undefined ? {} : { requestState: state }),
    };
    const { connection } = upstream;
    const isTool =
      mcp.method === "tools/call" && connection.era === "modern" && connection.link.facts.transport === "http";
    const tool = isTool ? upstream.surface?.tools.find(({ name }) => name === mcp.name) : undefined;
    const result = connection.request(mcp.method, params, {
      signal: pending.signal,
      ...(tool === undefined ? {} : { headers: mcpParamHeaders(tool["inputSchema"], mcp.arguments) }),
      onprogress: call.relay?.progressToken === undefined ? undefined : (progress) => this.#progress(pending, progress),
    });
    pending.follow(result.finally(() => upstream.calls.delete(pending)));
    return pending;
  }

  /** Its number is the server's, its token the caller's own. */
  #progress({ relay }: PendingCall, progress: JsonObject): void {
    if (relay?.progressToken === undefined) return;
    try {
      const clean = this.#upstream!.scrub(progress);
      relay.notify("notifications/progress", { ...clean, progressToken: relay.progressToken });
    } catch {
      // What cannot be scrubbed is not shown.
    }
  }

  /** An older server asks in mid-call, and the client can be asked by the call's result alone. */
  async #park(pending: PendingCall): Promise<void> {
    const questions = pending.questions();
    pending.clock = undefined;
    const id = this.#deps.parked.park(pending);
    if (id === undefined) throw new Problem("rate_limited", { detail: "too many calls wait for an answer" });
    this.#pending = undefined;
    const requestState = printRequestState({ kind: "parked", id });
    await this.#deliver(200, { resultType: "input_required", inputRequests: questions, requestState });
  }

  /**
   * A newer server asks by its result. @returns What to repeat the request with, when the answers are here; `undefined` when
   * the client will repeat it.
   */
  async #inputRequired(upstream: Upstream, result: JsonObject): Promise<Round | undefined> {
    const { relay } = this.#call;
    const given = typeof result["requestState"] === "string" ? result["requestState"] : undefined;
    const asked: Record<string, JsonObject> = {};
    const answers: Record<string, JsonObject> = {};
    for (const [id, request] of Object.entries(asObject(result["inputRequests"]))) {
      const { method, params } = asObject(request);
      const judged = upstream.judge(String(method), asObject(params), relay);
      if (judged.kind === "refused")
        throw new Problem("upstream_invalid", { detail: `the server asks too much: ${judged.message}` });
      if (judged.kind === "answered") answers[id] = judged.result;
      else asked[id] = { method: String(method), params: judged.params };
    }
    if (Object.keys(asked).length === 0 && Object.keys(answers).length > 0) return { answers, state: given };
    if (relay?.era === "legacy") return { answers: { ...answers, ...(await this.#askAll(asked)) }, state: given };
    const requestState = printRequestState({ kind: "relayed", state: given, answers });
    await this.#deliver(200, { resultType: "input_required", inputRequests: asked, requestState });
    return undefined;
  }

  async #askAll(asked: Readonly<Record<string, JsonObject>>): Promise<JsonObject> {
    const answers: Record<string, JsonObject> = {};
    this.#clock.pause();
    try {
      for (const [id, { method, params }] of Object.entries(asked)) {
        answers[id] = await this.#call.relay!.request(String(method), asObject(params));
      }
    } finally {
      this.#clock.resume();
    }
    return answers;
  }

  #subscribes(): boolean {
    const method = this.#call.request.mcp?.method;
    return method === "resources/subscribe" || method === "resources/unsubscribe";
  }

  async #subscribe(upstream: Upstream): Promise<void> {
    const { method, name } = this.#call.request.mcp!;
    const { relay } = this.#call;
    if (relay === undefined) throw new Problem("invalid_request", { detail: "nobody would hear of the resource" });
    const isNew = method === "resources/subscribe";
    const tell = isNew ? upstream.subscribe(name, relay) : upstream.unsubscribe(name, relay.key);
    if (!tell) return this.#deliver(200, {});
    if (upstream.connection.era === "modern") {
      await upstream.connection.listen(upstream.subscribed());
      return this.#deliver(200, {});
    }
    try {
      await this.#request(upstream);
    } catch (error) {
      if (isNew) upstream.unsubscribe(name, relay.key);
      throw error;
    }
  }

  async #deliver(status: number, value: JsonObject): Promise<void> {
    if (this.#over) return;
    const clean = await scrubInTurns(value, this.#upstream?.scrubbers ?? [], this.#deps.turns);
    if (this.#over) return;
    this.redacted += clean.redacted;
    const bytes = Buffer.from(JSON.stringify(clean.value), "utf8");
    if (bytes.length > this.#call.responseBytes) throw new Problem("upstream_too_large");
    this.#end(() => {
      this.#sink.head({ status, headers: [], lengthBytes: bytes.length });
      this.#sink.data(bytes);
      this.#sink.end();
    });
  }

  async #fail(error: unknown): Promise<void> {
    if (this.#over) return;
    const failure = error instanceof UpstreamRpcError ? await this.#deliverError(error) : error;
    if (failure === undefined) return;
    this.#pending?.drop("the call failed");
    const problem = failure instanceof Problem ? failure : new Problem("internal_error", { cause: failure });
    this.#end(() => this.#sink.fail(problem));
  }

  /** @returns Why it could not be delivered. */
  async #deliverError({ code, message, data }: UpstreamRpcError): Promise<unknown> {
    try {
      await this.#deliver(400, { error: { code, message, ...(data === undefined ? {} : { data }) } });
      return undefined;
    } catch (failure) {
      return failure;
    }
  }

  #end(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#clock.stop();
    tell();
  }
}

function staleState(): Problem {
  return new Problem("invalid_request", {
    detail: "what this call goes on with is no longer there",
    remedy: "Make the call anew, without `requestState` and `inputResponses`.",
  });
}
