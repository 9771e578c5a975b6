import type { AuditEvent, AuditLog } from "../audit/event.ts";
import { checkKeys } from "../audit/event-line.ts";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { AnswerSink, Exchange } from "../egress/answer.ts";
import type { OutboundRequest } from "../egress/outbound-request.ts";
import { withKills } from "../policy/compile-snapshot.ts";
import { createCounters } from "../policy/counters.ts";
import type { Kill } from "../policy/kills.ts";
import { agent, NOON, operation, principal, type Rules, role, service, snapshotOf } from "../policy/policy.testing.ts";
import type { Lease } from "../vault/create-vault.ts";
import { createActiveCalls } from "./active-calls.ts";
import type { CallRequest } from "./call-request.ts";
import { type BrokerDeps, createBroker } from "./create-broker.ts";
import { createRecentDecisions } from "./recent-decisions.ts";

/** The value that a staged vault hands out. */
export const STAGED_SECRET = "rk_live_0123456789abcdef";

/** `bot` may GET `/zones` of `dns`; `dns` may also be asked to write, with a person's word. */
export const STAGED_RULES: Rules = {
  services: [
    service("dns", [
      operation("zones"),
      operation("poke", { effect: "write", allow: ["GET /poke"] }),
      operation("look", { allow: ["POST /look"] }),
      operation("wipe", {
        effect: "destructive",
        allow: ["DELETE /zones/{zone}"],
        approval: { message: "Delete {path.zone}", preview: undefined, expiresSeconds: 900 },
      }),
    ]),
    service("hidden", [operation("zones")]),
  ],
  roles: [role("reader", ["dns:*"])],
  agents: [agent("bot", ["reader"])],
};

/** A call upstream that the test drives: what the broker sent, the sink it gave, and whether it was aborted. */
export interface StagedExchange {
  readonly outbound: OutboundRequest;
  readonly sink: AnswerSink;
  over: boolean;
  end(): void;
  fail(problem: Problem): void;
}

/**
 * A broker whose every neighbour is a fake that writes down what it was asked, in order.
 *
 * `gate` holds a step (`append:call.decided`, `lease`, …) until the test lets it go; `fail` makes it fail.
 */
export function stageBroker(rules: Rules = STAGED_RULES) {
  const steps: string[] = [];
  const events: AuditEvent[] = [];
  const exchanges: StagedExchange[] = [];
  const faults: unknown[] = [];
  const finished: (string | undefined)[] = [];
  const failing = new Map<string, Error>();
  const gates = new Map<string, Promise<void>>();
  let snapshot = snapshotOf(rules);
  let refusedHold: Problem | undefined;
  const pass = async (step: string) => {
    steps.push(step);
    await gates.get(step);
    const error = failing.get(step);
    if (error !== undefined) throw error;
  };
  const audit: AuditLog = {
    async append(event, meanwhile) {
      checkKeys(event.data ?? {});
      meanwhile?.();
      await pass(`append:${event.type}`);
      events.push(event);
    },
    digest: () => "hmac:0",
    unavailable: () => undefined,
  };
  const lease: Lease = {
    secret: new Secret(STAGED_SECRET),
    version: "1",
    expiresAt: new Date("2030-01-01"),
    short: false,
  };
  const active = createActiveCalls();
  const deps: BrokerDeps = {
    snapshot: () => snapshot,
    audit,
    counters: createCounters(),
    vault: {
      async lease() {
        await pass("lease");
        return lease;
      },
    },
    egress: {
      send(outbound, sink): Exchange {
        steps.push("send");
        const staged: StagedExchange = {
          outbound,
          sink,
          over: false,
          end() {
            if (staged.over) return;
            staged.over = true;
            sink.end();
          },
          fail(problem) {
            if (staged.over) return;
            staged.over = true;
            sink.fail(problem);
          },
        };
        exchanges.push(staged);
        return { redacted: 0, resume: () => {}, abort: (problem) => staged.fail(problem) };
      },
    },
    upstreams: {
      send() {
        throw new Error("no MCP server is staged");
      },
    },
    pins: { held: () => undefined },
    holds: {
      async answer() {
        await pass("hold");
        return refusedHold === undefined
          ? { kind: "approved", approvalId: "apr_1" }
          : { kind: "refused", problem: refusedHold, approvalId: "apr_1" };
      },
    },
    active,
    recent: createRecentDecisions(),
    now: () => NOON,
    finished: ({ code }) => void finished.push(code),
    fault: (error) => void faults.push(error),
  };
  return {
    deps,
    broker: createBroker(deps),
    active,
    steps,
    events,
    exchanges,
    faults,
    /** Codes of the calls that ended, as metrics are told. */
    finished,
    fail: (step: string, error: Error = new Problem("audit_unavailable")) => void failing.set(step, error),
    /** Nobody has approved. */
    refuseHold(problem: Problem) {
      refusedHold = problem;
    },
    gate(step: string): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      gates.set(step, promise);
      return () => {
        gates.delete(step);
        resolve();
      };
    },
    /** Puts a kill in force as the composition root does: the snapshot first, then what runs. */
    kill(target: string) {
      const kill: Kill = { target, why: "a test", setBy: "owner", setAt: NOON };
      snapshot = withKills(snapshot, [kill]);
      return active.cut(kill);
    },
  };
}

/** A call to `dns` as a door would make it. */
export function callTo(line: string, parts: Partial<CallRequest> = {}): CallRequest {
  const [method = "GET", target = "/"] = line.split(" ");
  return {
    requestId: "req_1",
    door: "api",
    principal: principal(),
    service: "dns",
    raw: { method, target, headers: [], body: undefined },
    publicBase: undefined,
    ...parts,
  };
}

/** A door that writes down what it was told, and resolves when the call has ended. */
export function recordingSink() {
  const told: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const sink: AnswerSink = {
    head: ({ status }) => void told.push(`head ${status}`),
    data(chunk) {
      told.push(`data ${chunk.length}`);
      return true;
    },
    end() {
      told.push("end");
      resolve();
    },
    fail(problem) {
      told.push(`fail ${problem.code}`);
      resolve();
    },
  };
  return { sink, told, ended: promise };
}

/** Lets everything go on that waits for nothing but its turn. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
