import type { Duplex } from "node:stream";
import { newId } from "../base/ids.ts";
import { closeSession, connectionSession } from "./client-session.ts";
import { handleLine, type LineDeps } from "./handle-line.ts";
import { errorMessage, RPC, RpcError } from "./json-rpc.ts";
import { RunningCalls } from "./running-calls.ts";

/** One line; the limit of `/mcp`. */
const MAX_LINE_BYTES = 8 * 1024 * 1024;
/** Unread answers after which no more lines are read. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024;

export interface StdioDeps extends LineDeps {
  /** Told when the connection is over: what upstream servers hold for it alone can go. */
  readonly ended: (id: string) => void;
}

/**
 * Serves MCP as lines of JSON over one connection: what `doorward connect` relays from a client's stdio.
 *
 * Both eras; a message's own envelope decides. Order of answers is not order of requests.
 */
export function serveStdio(stream: Duplex, deps: StdioDeps, head: Buffer): void {
  const running = new RunningCalls();
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let underWay = 0;
  let ended = false;
  const session = connectionSession(newId("con"), (message) => push(message));

  const send = (message: string, sent: () => void = () => {}) => {
    if (!stream.writable) return sent();
    stream.write(`${message}\n`, sent);
    if (stream.writableLength > MAX_UNSENT_BYTES) stream.pause();
  };
  // Notifications wait for nobody: what a reader that is far behind would not see in time, it does not get.
  const push = (message: string) => {
    if (stream.writableLength <= MAX_UNSENT_BYTES && deps.authenticate().ok) send(message);
  };
  stream.on("drain", () => stream.resume());

  const take = async (line: Buffer) => {
    underWay += 1;
    await handleLine(line, deps, { running, session, send });
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
    closeSession(session);
    deps.ended(session.id);
  });
  // Whoever has said all it has to say still gets its answers.
  stream.on("end", () => {
    ended = true;
    if (underWay === 0) stream.end();
  });
  if (head.length > 0) receive(head);
}
