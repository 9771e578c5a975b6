import type { IncomingMessage } from "node:http";
import { Problem } from "./problem.ts";

/** Chunks that may be of any size; of more than these the average must be worth the work that each one makes. */
const FREE_CHUNKS = 10_000;
const CHUNK_BYTES = 16;

/** Whether a request announces a body (RFC 9112 §6). */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
}

/**
 * Reads a request's whole body, up to a limit.
 *
 * @param limitBytes - One byte more ends the reading: nothing beyond it is kept.
 * @throws {Problem} `too_large`; `invalid_request` when the peer goes away before the end, or sends byte by byte.
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Uint8Array | undefined> {
  const declared = request.headers["content-length"];
  if (declared !== undefined && Number(declared) > limitBytes) return Promise.reject(tooLarge(limitBytes));
  if (!hasBody(request)) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    let body: Buffer | undefined;
    let size = 0;
    let chunks = 0;
    const stop = (problem: Problem) => {
      request.removeAllListeners("data");
      request.pause();
      reject(problem);
    };
    request.on("data", (chunk: Buffer) => {
      if (size + chunk.length > limitBytes) return stop(tooLarge(limitBytes));
      if (++chunks > FREE_CHUNKS && size < chunks * CHUNK_BYTES) return stop(tooSmall());
      body = body === undefined ? chunk : append(body, size, chunk);
      size += chunk.length;
    });
    request.on("end", () => resolve(body?.subarray(0, size)));
    // After an error too: whoever holds the request listens for those.
    request.on("close", () => {
      if (request.complete) return;
      reject(new Problem("invalid_request", { detail: "the request ended before its body did" }));
    });
  });
}

/**
 * Adds a chunk behind the bytes that are there, in place while there is room.
 *
 * A list of chunks would cost a hundred times its bytes where a peer sends them one by one.
 */
function append(body: Buffer, size: number, chunk: Buffer): Buffer {
  const needed = size + chunk.length;
  const roomy = body.length >= needed ? body : Buffer.allocUnsafeSlow(Math.max(2 * size, needed));
  if (roomy !== body) body.copy(roomy, 0, 0, size);
  chunk.copy(roomy, size);
  return roomy;
}

function tooSmall(): Problem {
  return new Problem("invalid_request", { detail: "the body comes in too many tiny chunks" });
}

function tooLarge(limitBytes: number): Problem {
  return new Problem("too_large", { detail: `the body is larger than ${limitBytes} bytes` });
}
