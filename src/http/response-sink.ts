import type { ServerResponse } from "node:http";
import { letGoWhenStalled } from "../base/let-go-when-stalled.ts";
import type { Problem } from "../base/problem.ts";
import type { AnswerHead, AnswerSink } from "../egress/answer.ts";

/** Bytes of an answer that are held to send head, length and body in one write, or a clean refusal instead. */
const HELD_BYTES = 64 * 1024;
/** An answer without a length that has not ended after this long is one that streams: it flows from then on. */
const HOLD_MS = 5;

export interface ResponseSinkOptions {
  readonly requestId: string;
  /** Asks the upstream for more, after the caller took what it was given. */
  readonly resume: () => void;
  readonly redacted: () => number;
  readonly refuse: (problem: Problem) => void;
}

/**
 * Writes an answer to an HTTP response.
 *
 * Small answers are written once, with their length. Others stream in chunks, and the chunk that ends them is written
 * when the outcome is recorded, so that an answer that looks whole is one that has its evidence.
 */
export function createResponseSink(response: ServerResponse, options: ResponseSinkOptions): AnswerSink {
  let head: AnswerHead | undefined;
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let flowing = false;
  /** Whether the count of redactions follows the body. */
  let trailing = false;
  let timer: NodeJS.Timeout | undefined;

  const flow = () => {
    clearTimeout(timer);
    if (flowing || response.destroyed) return;
    flowing = true;
    const headers = flatHeaders(head!, options);
    if (options.redacted() > 0) headers.push("doorward-redacted", String(options.redacted()));
    else if (response.req.httpVersion === "1.1" && !isBodiless(response, head!)) {
      headers.push("trailer", "Doorward-Redacted");
      trailing = true;
    }
    response.writeHead(head!.status, headers);
    response.on("drain", options.resume);
    if (heldBytes === 0) response.flushHeaders();
    for (const chunk of held) response.write(chunk);
    held = [];
  };

  return {
    head(h) {
      head = h;
      const streams = header(h, "content-type")?.startsWith("text/event-stream") === true;
      if (streams) flow();
      else if (h.lengthBytes === undefined) timer = setTimeout(flow, HOLD_MS);
      else if (h.lengthBytes > HELD_BYTES) flow();
    },
    data(chunk) {
      if (response.destroyed) return true;
      if (flowing) return response.write(chunk);
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes > HELD_BYTES) flow();
      return !response.writableNeedDrain;
    },
    // INVARIANT: an answer that failed with nothing sent is a refusal, however long its evidence takes to write.
    settling: () => clearTimeout(timer),
    end() {
      clearTimeout(timer);
      if (response.destroyed) return;
      if (flowing) {
        if (trailing) response.addTrailers({ "doorward-redacted": String(options.redacted()) });
        response.end();
      } else sendWhole(response, head!, held, heldBytes, options);
      letGoWhenStalled(response);
    },
    fail(problem) {
      clearTimeout(timer);
      if (flowing) response.destroy();
      else options.refuse(problem);
    },
  };
}

/** The whole answer in one write. */
function sendWhole(
  response: ServerResponse,
  head: AnswerHead,
  held: readonly Uint8Array[],
  heldBytes: number,
  options: ResponseSinkOptions,
): void {
  const headers = flatHeaders(head, options);
  const redacted = options.redacted();
  if (redacted > 0) headers.push("doorward-redacted", String(redacted));
  const bodiless = isBodiless(response, head);
  if (!bodiless) headers.push("content-length", String(heldBytes));
  response.writeHead(head.status, headers);
  if (bodiless || heldBytes === 0) response.end();
  else response.end(held.length === 1 ? held[0] : Buffer.concat(held));
}

/** Whether HTTP lets this answer have no body, and with it no trailer: Node throws where one is announced all the same. */
function isBodiless(response: ServerResponse, { status }: AnswerHead): boolean {
  return status === 204 || status === 304 || response.req.method === "HEAD";
}

function flatHeaders(head: AnswerHead, { requestId }: ResponseSinkOptions): string[] {
  const flat: string[] = [];
  for (const [name, value] of head.headers) flat.push(name, value);
  flat.push("doorward-request-id", requestId);
  return flat;
}

function header(head: AnswerHead, name: string): string | undefined {
  return head.headers.find(([candidate]) => candidate === name)?.[1];
}
