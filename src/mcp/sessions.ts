import { newId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";
import { isSameCaller, type Principal } from "../identity/principal.ts";
import type { Killable } from "../policy/kills.ts";
import { type ClientSession, closeSession } from "./client-session.ts";
import type { RunningCalls } from "./running-calls.ts";

/** Sessions of one node; beyond it the one unused for longest makes room. */
const MAX_SESSIONS = 20_000;
/** Sessions of one agent, so that one cannot push the others out. */
const MAX_SESSIONS_PER_AGENT = 10_000;
/** A session unused for this long is forgotten: 24 hours. */
const SESSION_IDLE_MS = 86_400_000;

const UNKNOWN_CLIENT: SessionClient = { scope: undefined, capabilities: {} };

/** The state that revisions up to 2025-11-25 keep per client: whose it is, and what runs in it. */
export interface Session extends ClientSession {
  readonly agent: string;
  readonly client: string;
  readonly user: string | undefined;
  readonly tenant: string | undefined;
  usedAt: number;
  /** Counts the uses of all sessions: the one with the least was unused for longest. */
  lastUse: number;
  /** Calls under way, by the caller's own id, so that it can cancel them. Made when first needed. */
  running: RunningCalls | undefined;
  /** Ends the open GET stream, when there is one. */
  closeStream: (() => void) | undefined;
}

/** What a client says of itself when it opens a session, and where it does. */
export interface SessionClient {
  readonly scope: string | undefined;
  readonly capabilities: JsonObject;
}

export interface Sessions {
  /** Always makes one: at a limit the one unused for longest is ended, of this agent first. */
  create(principal: Principal, nowMs: number, client?: SessionClient): Session;
  /** @returns `undefined` for an unknown id and for one of somebody else's: no difference is to be seen. */
  find(id: string, principal: Principal, nowMs: number): Session | undefined;
  end(session: Session): void;
  /** Ends the streams that some, or all, listen on; the sessions stay. @returns How many streams there were. */
  silence(whose?: (who: Killable) => boolean): number;
  endAll(): void;
  readonly size: number;
}

/**
 * Keeps the sessions in memory.
 *
 * @param ended - Told the id of each session that is over.
 */
export function createSessions(ended: (id: string) => void = () => {}): Sessions {
  const sessions = new Map<string, Session>();
  const perAgent = new Map<string, number>();
  const end = (session: Session) => {
    if (!sessions.delete(session.id)) return;
    const left = (perAgent.get(session.agent) ?? 1) - 1;
    if (left === 0) perAgent.delete(session.agent);
    else perAgent.set(session.agent, left);
    for (const controller of session.running?.values() ?? []) controller.abort();
    session.closeStream?.();
    closeSession(session);
    ended(session.id);
  };
  const oldest = (agent?: string) => {
    let found: Session | undefined;
    for (const session of sessions.values()) {
      if (agent !== undefined && session.agent !== agent) continue;
      if (found === undefined || session.lastUse < found.lastUse) found = session;
    }
    return found;
  };
  let uses = 0;
  return {
    get size() {
      return sessions.size;
    },
    create(principal, nowMs, client = UNKNOWN_CLIENT) {
      const { agent } = principal;
      if ((perAgent.get(agent) ?? 0) >= MAX_SESSIONS_PER_AGENT) end(oldest(agent)!);
      if (sessions.size >= MAX_SESSIONS) end(oldest()!);
      const id = newId("ses");
      const session: Session = {
        id,
        agent,
        client: principal.client,
        user: principal.user,
        tenant: principal.tenant,
        usedAt: nowMs,
        lastUse: ++uses,
        running: undefined,
        closeStream: undefined,
        scope: client.scope,
        capabilities: client.capabilities,
        logLevel: undefined,
        push: undefined,
        pending: undefined,
        listening: undefined,
      };
      sessions.set(id, session);
      perAgent.set(agent, (perAgent.get(agent) ?? 0) + 1);
      return session;
    },
    find(id, principal, nowMs) {
      const session = sessions.get(id);
      if (session === undefined || !isSameCaller(session, principal)) return undefined;
      if (nowMs - session.usedAt > SESSION_IDLE_MS) {
        end(session);
        return undefined;
      }
      session.usedAt = nowMs;
      session.lastUse = ++uses;
      return session;
    },
    end,
    silence(whose = () => true) {
      let streams = 0;
      for (const session of sessions.values()) {
        if (session.closeStream === undefined || !whose(session)) continue;
        streams++;
        session.closeStream();
      }
      return streams;
    },
    endAll() {
      for (const session of [...sessions.values()]) end(session);
    },
  };
}
