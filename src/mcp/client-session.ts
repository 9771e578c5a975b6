import type { JsonObject } from "../base/json.ts";
import { createPendingRequests, type PendingRequests } from "./pending-requests.ts";

/** What is known of a client that keeps a session or a connection, and how it is reached outside of its own requests. */
export interface ClientSession {
  readonly id: string;
  /** The service of `/mcp/SERVICE` that it was opened at; `undefined` at `/mcp`. It holds there and nowhere else. */
  readonly scope: string | undefined;
  /** As the client declared them. */
  capabilities: JsonObject;
  /** What log messages it wants, at least this severe; all when it never said. */
  logLevel: string | undefined;
  /** Sends it a message that belongs to none of its requests; absent while it listens to nothing. */
  push: ((message: string) => void) | undefined;
  /** What it is being asked. Made when first needed. */
  pending: PendingRequests | undefined;
  /** Ends its listening to an upstream server, by service. Made when first needed. */
  listening: Map<string, () => void> | undefined;
}

/** What is known at first of a client that keeps one connection open, at `/mcp` with all that is there. */
export function connectionSession(id: string, push: (message: string) => void): ClientSession {
  return {
    id,
    scope: undefined,
    capabilities: {},
    logLevel: undefined,
    push,
    pending: undefined,
    listening: undefined,
  };
}

export function pendingOf(session: ClientSession): PendingRequests {
  session.pending ??= createPendingRequests();
  return session.pending;
}

/** Lets go of what upstream servers hold for it. */
export function closeSession(session: ClientSession): void {
  session.pending?.close();
  for (const end of session.listening?.values() ?? []) end();
  session.listening = undefined;
  session.push = undefined;
}
