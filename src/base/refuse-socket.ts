import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Problem } from "./problem.ts";
import { problemDocument } from "./send-problem.ts";

/** A peer that was refused, and does not close its side, is let go after this time. */
const LINGER_MS = 2_000;

/** Writes a refusal in the contract's form on a bare connection, where Node gives no response to write it with. */
export function refuseSocket(socket: Duplex, problem: Problem, requestId: string): void {
  const body = JSON.stringify(problemDocument(problem, requestId));
  socket.on("error", () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nDoorward-Request-Id: ${requestId}\r\nDoorward-Error: ${problem.code}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  );
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
