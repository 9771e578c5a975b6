import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { Principal } from "../identity/principal.ts";
import type { ClientSession } from "./client-session.ts";
import { capabilitiesOf } from "./create-relay.ts";
import type { Dispatch } from "./dispatch.ts";
import { classify } from "./era.ts";
import { errorMessage, parseMessage, type RequestId, RPC, RpcError, resultMessage } from "./json-rpc.ts";
import type { RunningCalls } from "./running-calls.ts";
import { createSentList } from "./sent-list.ts";

const MAX_DEPTH = 64;
const MAX_VALUES = 100_000;
/** Calls under way on one connection; what comes beyond is refused, not queued. */
const MAX_RUNNING = 256;

export interface LineDeps {
  readonly dispatch: Dispatch;
  /** Puts on record what is no message that can be dispatched. */
  readonly refused: (
    caller: { readonly principal: Principal; readonly requestId: string },
    reason: string,
  ) => Promise<void>;
  /** Asked for each message, so that a revoked key or a killed agent is stopped in mid-connection. */
  readonly authenticate: () => { readonly ok: true; readonly principal: Principal } | { readonly ok: false };
}

/** A client that keeps one connection open: messages come over it one by one, and answers go out in any order. */
export interface LineConnection {
  /** Its calls under way, by its own ids. */
  readonly running: RunningCalls;
  readonly session: ClientSession;
  /** @param sent - Called when the message has left, or never will. */
  readonly send: (message: string, sent?: () => void) => void;
}

/** Handles one message of a connection. Never rejects: what is wrong with it is told to the client, and recorded. */
export async function handleLine(
  line: Buffer,
  deps: LineDeps,
  { running, session, send }: LineConnection,
): Promise<void> {
  let id: RequestId | undefined;
  let begun = false;
  const sent = createSentList();
  try {
    const parsed = parseStrictJson(line, { depth: MAX_DEPTH, values: MAX_VALUES });
    if (!parsed.ok) throw new RpcError(RPC.parseError, `not acceptable JSON: ${parsed.problem}`);
    const message = parseMessage(parsed.value);
    if (message.kind === "request") id = message.id;
    const era = classify(message, undefined);
    if (message.kind === "notification" && message.method === "notifications/cancelled") {
      running.get(message.params["requestId"] as RequestId)?.abort();
    }
    if (message.kind === "answer") session.pending?.answer(message);
    if (message.kind !== "request") return;
    const caller = deps.authenticate();
    if (!caller.ok) throw new Problem("invalid_token");
    if (running.has(message.id)) throw new RpcError(RPC.invalidRequest, "a request with this id is under way");
    if (running.size >= MAX_RUNNING) throw new Problem("rate_limited", { detail: "too many calls are under way" });
    const controller = new AbortController();
    running.set(message.id, controller);
    begun = true;
    if (era === "legacy" && message.method === "initialize") {
      session.capabilities = capabilitiesOf(message.params["capabilities"]);
    }
    const context = {
      era,
      principal: caller.principal,
      requestId: newId("req"),
      signal: controller.signal,
      lossy: parsed.lossy,
      whenSent: sent.add,
      session,
    };
    send(resultMessage(message.id, await deps.dispatch(message, context)), sent.run);
  } catch (error) {
    const problem = asRpcError(error);
    if (!begun || (problem.status === 400 && !problem.judged)) await recordRefused(deps, problem);
    send(errorMessage(id, problem), sent.run);
  } finally {
    if (begun) running.delete(id!);
  }
}

/** What was refused before it was dispatched is evidence too, if its sender is still somebody. */
async function recordRefused(deps: LineDeps, error: RpcError): Promise<void> {
  const caller = deps.authenticate();
  if (!caller.ok) return;
  await deps.refused({ principal: caller.principal, requestId: newId("req") }, error.message).catch(() => {});
}

function asRpcError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof Problem) {
    return new RpcError(RPC.invalidRequest, `${error.message}. ${error.remedy}`, { data: { code: error.code } });
  }
  return new RpcError(RPC.internalError, "a fault of Doorward");
}
