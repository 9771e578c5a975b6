import type { IncomingMessage } from "node:http";
import { Problem } from "./problem.ts";

/**
 * Reads a request's whole body, up to a limit.
 *
 * @param limitBytes - One byte more ends the reading: nothing beyond it is kept.
 * @throws {Problem} `too_large`; `invalid_request` when the peer goes away before the end.
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Uint8Array | undefined> {
  const declared = request.headers["content-length"];
  if (declared !== undefined && Number(declared) > limitBytes) return Promise.reject(tooLarge(limitBytes));
  if (declared === undefined && request.headers["transfer-encoding"] === undefined) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let rest: Buffer[] | undefined;
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) {
        request.removeAllListeners("data");
        request.pause();
        reject(tooLarge(limitBytes));
      } else if (first === undefined) first = chunk;
      else if (rest === undefined) rest = [first, chunk];
      else rest.push(chunk);
    });
    request.on("end", () => resolve(rest === undefined ? first : Buffer.concat(rest)));
    const gone = () => reject(new Problem("invalid_request", { detail: "the request ended before its body did" }));
    request.on("error", gone);
    request.on("close", () => (request.complete ? undefined : gone()));
  });
}

function tooLarge(limitBytes: number): Problem {
  return new Problem("too_large", { detail: `the body is larger than ${limitBytes} bytes` });
}
