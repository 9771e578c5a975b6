import type { Duplex } from "node:stream";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { Principal } from "../identity/principal.ts";
import type { Dispatch } from "./dispatch.ts";
import { classify } from "./era.ts";
import { errorMessage, parseMessage, type RequestId, RPC, RpcError, resultMessage } from "./json-rpc.ts";
import { createSentList } from "./sent-list.ts";

/** One line; the limit of `/mcp`. */
const MAX_LINE_BYTES = 8 * 1024 * 1024;
const MAX_LINE_DEPTH = 64;
const MAX_LINE_VALUES = 100_000;
/** Calls under way on one connection; what comes beyond is refused, not queued. */
const MAX_RUNNING = 256;
/** Unread answers after which no more lines are read. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024;

export interface StdioDeps {
  readonly dispatch: Dispatch;
  /** Puts on record what is no message that can be dispatched. */
  readonly refused: (
    caller: { readonly principal: Principal; readonly requestId: string },
    reason: string,
  ) => Promise<void>;
  /** Asked for each message, so that a revoked key or a killed agent is stopped in mid-connection. */
  readonly authenticate: () => { readonly ok: true; readonly principal: Principal } | { readonly ok: false };
}

/**
 * Serves MCP as lines of JSON over one connection: what `doorward connect` relays from a client's stdio.
 *
 * Both eras; a message's own envelope decides. Order of answers is not order of requests.
 */
export function serveStdio(stream: Duplex, deps: StdioDeps, head: Buffer): void {
  const running = new Map<RequestId, AbortController>();
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let underWay = 0;
  let ended = false;

  const send = (message: string, sent: () => void = () => {}) => {
    if (!stream.writable) return sent();
    stream.write(`${message}\n`, sent);
    if (stream.writableLength > MAX_UNSENT_BYTES) stream.pause();
  };
  stream.on("drain", () => stream.resume());

  const take = async (line: Buffer) => {
    underWay += 1;
    await handleLine(line, deps, running, send);
    underWay -= 1;
    if (ended && underWay === 0) stream.end();
  };

  const receive = (chunk: Buffer) => {
    let start = 0;
    for (let end = chunk.indexOf(10, start); end !== -1; end = chunk.indexOf(10, start)) {
      const part = chunk.subarray(start, end);
      const line = pending.length === 0 ? part : Buffer.concat([...pending, part]);
      pending = [];
      pendingBytes = 0;
      start = end + 1;
      if (line.length > 0 && !(line.length === 1 && line[0] === 13)) void take(line);
    }
    if (start === chunk.length) return;
    pending.push(start === 0 ? chunk : chunk.subarray(start));
    pendingBytes += chunk.length - start;
    if (pendingBytes <= MAX_LINE_BYTES) return;
    send(errorMessage(undefined, new RpcError(RPC.parseError, `a line is longer than ${MAX_LINE_BYTES} bytes`)));
    stream.end();
    stream.removeListener("data", receive);
  };

  stream.on("data", receive);
  stream.on("error", () => stream.destroy());
  stream.on("close", () => {
    for (const controller of running.values()) controller.abort();
  });
  // Whoever has said all it has to say still gets its answers.
  stream.on("end", () => {
    ended = true;
    if (underWay === 0) stream.end();
  });
  if (head.length > 0) receive(head);
}

async function handleLine(
  line: Buffer,
  deps: StdioDeps,
  running: Map<RequestId, AbortController>,
  send: (message: string, sent?: () => void) => void,
): Promise<void> {
  let id: RequestId | undefined;
  let begun = false;
  const sent = createSentList();
  try {
    const parsed = parseStrictJson(line, { depth: MAX_LINE_DEPTH, values: MAX_LINE_VALUES });
    if (!parsed.ok) throw new RpcError(RPC.parseError, `not acceptable JSON: ${parsed.problem}`);
    const message = parseMessage(parsed.value);
    if (message.kind === "request") id = message.id;
    const era = classify(message, undefined);
    if (message.kind === "notification" && message.method === "notifications/cancelled") {
      running.get(message.params["requestId"] as RequestId)?.abort();
    }
    if (message.kind !== "request") return;
    const caller = deps.authenticate();
    if (!caller.ok) throw new Problem("invalid_token");
    if (running.has(message.id)) throw new RpcError(RPC.invalidRequest, "a request with this id is under way");
    if (running.size >= MAX_RUNNING) throw new Problem("rate_limited", { detail: "too many calls are under way" });
    const controller = new AbortController();
    running.set(message.id, controller);
    begun = true;
    const context = {
      era,
      principal: caller.principal,
      requestId: newId("req"),
      signal: controller.signal,
      lossy: parsed.lossy,
      whenSent: sent.add,
    };
    send(resultMessage(message.id, await deps.dispatch(message, context)), sent.run);
  } catch (error) {
    const problem = asRpcError(error);
    if (!begun) await recordRefused(deps, problem);
    send(errorMessage(id, problem), sent.run);
  } finally {
    if (begun) running.delete(id!);
  }
}

/** What was refused before it was dispatched is evidence too, if its sender is still somebody. */
async function recordRefused(deps: StdioDeps, error: RpcError): Promise<void> {
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
