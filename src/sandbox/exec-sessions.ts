import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { recordRefusal } from "../broker/record-refusal.ts";
import type { Authentication } from "../identity/authenticate.ts";
import type { Principal } from "../identity/principal.ts";
import { checkAgent, checkPurpose } from "../policy/check-agent.ts";
import { denyKilled } from "../policy/decision.ts";
import { indexKills, type Kill, killOfPrincipal } from "../policy/kills.ts";
import { lazyAddress } from "../policy/network.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { SandboxMode } from "./child-spec.ts";
import type { EgressProxy, OpenEgress } from "./egress-proxy.ts";
import { createExecRoute } from "./exec-route.ts";
import { type ExecVault, type GivenPlaceholder, givePlaceholders } from "./give-placeholders.ts";

/** What an agent asks for when it wants to run a command. */
export interface ExecRequest {
  /** The program's name, for the evidence; its arguments may hold anything and are not kept. */
  readonly command: string;
  /** What confines it, as far as whoever starts it says. */
  readonly mode: SandboxMode;
  /** Empty: all that the agent may use. */
  readonly services: readonly string[];
  /** Variables that shall hold a placeholder. */
  readonly env: readonly { readonly name: string; readonly service: string }[];
}

/** A way out for one command of an agent. */
export interface ExecSession {
  /** Of its start and end in the evidence; its requests name it under `during`. */
  readonly id: string;
  /** Path of the unix socket on which its proxy listens. */
  readonly socket: string;
  readonly caPem: string;
  /** Name and value of each variable that was asked for. */
  readonly env: readonly (readonly [string, string])[];
  /** Cuts what is under way. Never rejects. */
  close(reason: string): Promise<void>;
}

export interface ExecNews {
  /** A kill ended it. */
  cut(problem: Problem): void;
  /** It asked for a place that it may not reach. */
  refused(problem: Problem): void;
}

export interface ExecSessions {
  /** How many commands run. */
  readonly size: number;
  /**
   * Opens a way out for a command that whoever asks starts itself.
   *
   * @param caller.authenticate - Asked again at each of its requests.
   * @param told - What the command's owner must hear.
   * @throws {Problem} as recorded: `denied`, `killed`, `unknown_service`, `secret_unavailable`, `rate_limited`.
   */
  open(
    caller: { readonly principal: Principal; readonly authenticate: () => Authentication },
    request: ExecRequest,
    told: ExecNews,
  ): Promise<ExecSession>;
  /** Ends the commands of whom a kill names. @returns How many. */
  cut(kill: Kill): number;
}

export interface ExecSessionsDeps {
  readonly egressProxy: EgressProxy;
  readonly vault: ExecVault;
  readonly snapshot: () => Snapshot;
  readonly audit: AuditLog;
  readonly now: () => Date;
}

/** Commands of one agent at once. */
const SESSIONS_PER_AGENT = 32;

interface Running {
  readonly principal: Principal;
  readonly told: ExecNews;
}

/**
 * The commands that agents run behind the egress proxy (`doorward exec`).
 *
 * What a command asks for is decided by the agent's own rules, call by call, whatever was true when it was started; the
 * daemon gives it a way out and placeholders, and never a key.
 */
export function createExecSessions(deps: ExecSessionsDeps): ExecSessions {
  const running = new Set<Running>();
  return {
    get size() {
      return running.size;
    },
    async open({ principal, authenticate }, request, told) {
      const id = newId("req");
      const mine: Running = { principal, told };
      try {
        checkStart(deps, principal, running);
        running.add(mine);
        const placeholders = await givePlaceholders(deps, principal, request.env);
        return await openSession(deps, { id, principal, authenticate, request, placeholders, told }, () => {
          running.delete(mine);
        });
      } catch (error) {
        running.delete(mine);
        if (error instanceof Problem) await recordStart(deps.audit, { id, principal, problem: error });
        throw error;
      }
    },
    cut(kill) {
      const kills = indexKills([kill]);
      const covered = [...running].filter(({ principal }) => killOfPrincipal(kills, principal) !== undefined);
      for (const each of covered) each.told.cut(killed(kill));
      return covered.length;
    },
  };
}

/** Whether the agent may act at all. @throws {Problem} */
function checkStart({ snapshot, now }: ExecSessionsDeps, principal: Principal, running: ReadonlySet<Running>): void {
  const { kills, agents } = snapshot();
  const kill = killOfPrincipal(kills, principal);
  if (kill !== undefined) throw killed(kill);
  const agent = agents.get(principal.agent);
  if (agent === undefined) throw new Problem("denied", { reason: "unknown_agent" });
  const address = lazyAddress(principal.ip);
  const unfit = checkAgent(agent, { principal, address, now: now() }) ?? checkPurpose(agent, principal);
  if (unfit !== undefined) {
    const { detail, remedy, reason } = unfit;
    throw new Problem("denied", { detail, remedy, reason, fields: { rule: `agent:${principal.agent}` } });
  }
  const others = [...running].filter(({ principal: other }) => other.agent === principal.agent);
  if (others.length >= SESSIONS_PER_AGENT) {
    throw new Problem("rate_limited", {
      detail: `\`${principal.agent}\` runs ${SESSIONS_PER_AGENT} commands already`,
      remedy: "Wait until one ends.",
    });
  }
}

async function openSession(
  deps: ExecSessionsDeps,
  made: {
    readonly id: string;
    readonly principal: Principal;
    readonly authenticate: () => Authentication;
    readonly request: ExecRequest;
    readonly placeholders: readonly GivenPlaceholder[];
    readonly told: ExecNews;
  },
  over: () => void,
): Promise<ExecSession> {
  const { id, principal, request, placeholders } = made;
  const { route, caller } = createExecRoute({ ...made, services: request.services, snapshot: deps.snapshot });
  const watched = placeholders.flatMap(({ placeholder }) => placeholder ?? []);
  const open = await deps.egressProxy.open({
    name: principal.agent,
    get principal() {
      return caller();
    },
    by: "agent",
    placeholder: undefined,
    placeholders: [...new Set(watched)],
    during: () => [id],
    refused: (problem) => made.told.refused(problem),
    route,
  });
  await deps.audit.append(startedEvent(id, principal, request)).catch(async (error: unknown) => {
    await open.close();
    throw error;
  });
  return {
    id,
    socket: open.socket,
    caPem: open.caPem,
    env: placeholders.map(({ name, value }) => [name, value]),
    close: (reason) => endSession(deps.audit, { id, principal, open, reason }).finally(over),
  };
}

/** Never rejects: what cannot be recorded has ended all the same. */
async function endSession(
  audit: AuditLog,
  { id, principal, open, reason }: { id: string; principal: Principal; open: OpenEgress; reason: string },
): Promise<void> {
  await open.close();
  const { agent, tenant } = principal;
  await audit.append({ type: "exec.stopped", request_id: id, agent, tenant, data: { reason } }).catch(() => {});
}

function startedEvent(id: string, principal: Principal, { command, mode, services, env }: ExecRequest) {
  const { agent, tenant, user, client, purpose, task } = principal;
  const given = env.map(({ name, service }) => `${name}=${service}`);
  return {
    type: "exec.started",
    request_id: id,
    agent,
    tenant,
    user,
    data: { command, mode, services, placeholders: given, client, purpose, task },
  } as const;
}

/** @throws {Problem} `audit_unavailable`. */
function recordStart(
  audit: AuditLog,
  { id, principal, problem }: { readonly id: string; readonly principal: Principal; readonly problem: Problem },
): Promise<void> {
  const { code, reason = problem.message, fields } = problem;
  const rules = fields.rule === undefined ? {} : { rules: [fields.rule] };
  return recordRefusal(audit, { requestId: id, principal, door: "egress", code, reason, ...rules });
}

function killed(kill: Kill): Problem {
  const { detail, remedy, rules, reason } = denyKilled(kill);
  return new Problem("killed", { detail, remedy, reason, fields: rules[0] === undefined ? {} : { rule: rules[0] } });
}
