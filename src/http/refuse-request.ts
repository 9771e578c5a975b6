import type { IncomingMessage, ServerResponse } from "node:http";
import type { Problem } from "../base/problem.ts";
import { sendProblem } from "../base/send-problem.ts";

/**
 * Sends a refusal. Where the body is still coming, the whole answer goes out at once and the connection ends after the
 * body, or after a while: one that is closed under a client that writes is reset, and the answer lost with it.
 */
export function refuseRequest(
  request: IncomingMessage,
  response: ServerResponse,
  problem: Problem,
  requestId: string,
): void {
  if (response.headersSent) return void response.destroy();
  if (request.complete) {
    sendProblem(response, problem, requestId);
    return;
  }
  sendProblem(response, problem, requestId, { connection: "close" }, (body) => {
    if (body === undefined) response.flushHeaders();
    else response.write(body);
    drainBriefly(request, () => response.end());
  });
}

/** Bytes of an unread body that are still taken, so that an ordinary client reads the answer before it sees a reset. */
const DRAIN_BYTES = 8 * 1024 * 1024;
const DRAIN_MS = 2_000;
/** The least that a chunk counts for: each makes work, however little is in it. */
const CHUNK_COST_BYTES = 1_024;

function drainBriefly(request: IncomingMessage, drained: () => void): void {
  let left = DRAIN_BYTES;
  const cut = () => request.destroy();
  const timer = setTimeout(cut, DRAIN_MS);
  timer.unref();
  request.removeAllListeners("data");
  request.on("data", (chunk: Buffer) => {
    left -= Math.max(chunk.length, CHUNK_COST_BYTES);
    if (left < 0) cut();
  });
  request.on("end", drained);
  request.on("close", () => {
    clearTimeout(timer);
    drained();
  });
  request.resume();
}
