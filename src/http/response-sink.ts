import type { ServerResponse } from "node:http";
import { letGoWhenStalled } from "../base/let-go-when-stalled.ts";
import type { Problem } from "../base/problem.ts";
import { sendProblem } from "../base/send-problem.ts";
import type { AnswerHead, AnswerSink } from "../egress/answer.ts";

/** Bytes of an answer that are held to send head, length and body in one write, or a clean refusal instead. */
const HELD_BYTES = 64 * 1024;
/** An answer without a length that has not ended after this long is one that streams: it flows from then on. */
const HOLD_MS = 5;
/** A body up to this size goes out as one piece with its head. */
const ONE_PIECE_BYTES = 16 * 1024;

/** The call whose answer is written. */
export interface AnsweredCall {
  /** Asks the upstream for more, after the caller took what it was given. */
  resume(): void;
  readonly redacted: number;
}

/**
 * Writes an answer to an HTTP response.
 *
 * Small answers are written once, with their length. Others stream in chunks, and the chunk that ends them is written
 * when the outcome is recorded, so that an answer that looks whole is one that has its evidence.
 */
export class ResponseSink implements AnswerSink {
  /** Set by who runs the call, before anything of its answer comes. */
  call: AnsweredCall | undefined;
  readonly #response: ServerResponse;
  readonly #requestId: string;
  readonly #refuse: ((problem: Problem) => void) | undefined;
  #head: AnswerHead | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #flowing = false;
  /** Whether the count of redactions follows the body. */
  #trailing = false;
  #timer: NodeJS.Timeout | undefined;
  /** A whole answer, made ready while its evidence was written. */
  #ready: WholeAnswer | undefined;

  /** @param refuse - How a refusal is sent, where it takes more than an answer with its document. */
  constructor(response: ServerResponse, requestId: string, refuse?: (problem: Problem) => void) {
    this.#response = response;
    this.#requestId = requestId;
    this.#refuse = refuse;
  }

  head(head: AnswerHead): void {
    this.#head = head;
    const { lengthBytes } = head;
    if (isEventStream(head)) this.#flow();
    else if (lengthBytes === undefined) this.#timer = setTimeout(() => this.#flow(), HOLD_MS);
    else if (lengthBytes > HELD_BYTES) this.#flow();
  }

  data(chunk: Uint8Array): boolean {
    const response = this.#response;
    if (response.destroyed) return true;
    if (this.#flowing) return response.write(chunk);
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > HELD_BYTES) this.#flow();
    return !response.writableNeedDrain;
  }

  // INVARIANT: an answer that failed with nothing sent is a refusal, however long its evidence takes to write.
  settling(): void {
    this.#stopWaiting();
  }

  meanwhile(): void {
    if (!this.#flowing && this.#head !== undefined) this.#ready = this.#whole(this.#head);
  }

  end(): void {
    this.#stopWaiting();
    const response = this.#response;
    if (response.destroyed) return;
    if (this.#flowing) {
      if (this.#trailing) response.addTrailers({ "doorward-redacted": String(this.#redacted) });
      response.end();
    } else this.#sendWhole();
    letGoWhenStalled(response);
  }

  fail(problem: Problem): void {
    this.#stopWaiting();
    if (this.#flowing) this.#response.destroy();
    else if (this.#refuse !== undefined) this.#refuse(problem);
    else sendProblem(this.#response, problem, this.#requestId);
  }

  get #redacted(): number {
    return this.call?.redacted ?? 0;
  }

  #stopWaiting(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  #flow(): void {
    this.#stopWaiting();
    const response = this.#response;
    if (this.#flowing || response.destroyed) return;
    this.#flowing = true;
    const head = this.#head!;
    const headers = flatHeaders(head, this.#requestId);
    if (this.#redacted > 0) headers.push("doorward-redacted", String(this.#redacted));
    else if (response.req.httpVersion === "1.1" && !isBodiless(response, head)) {
      headers.push("trailer", "Doorward-Redacted");
      this.#trailing = true;
    }
    response.writeHead(head.status, headers);
    response.on("drain", () => this.call?.resume());
    if (this.#heldBytes === 0) response.flushHeaders();
    for (const chunk of this.#held) response.write(chunk);
    this.#held = [];
  }

  /** The whole answer in one write. */
  #sendWhole(): void {
    const response = this.#response;
    const { status, headers, body } = this.#ready ?? this.#whole(this.#head!);
    response.writeHead(status, headers);
    if (typeof body === "string") response.end(body, "latin1");
    else response.end(body);
  }

  #whole(head: AnswerHead): WholeAnswer {
    const headers = flatHeaders(head, this.#requestId);
    const redacted = this.#redacted;
    if (redacted > 0) headers.push("doorward-redacted", String(redacted));
    const bodiless = isBodiless(this.#response, head);
    if (!bodiless) headers.push("content-length", String(this.#heldBytes));
    const body = bodiless || this.#heldBytes === 0 ? undefined : inOnePiece(this.#held, this.#heldBytes);
    return { status: head.status, headers, body };
  }
}

interface WholeAnswer {
  readonly status: number;
  readonly headers: string[];
  /** A text is latin1: one character for each byte. */
  readonly body: string | Uint8Array | undefined;
}

/** Node writes a text together with the head in one piece, and bytes beside it: for a few of these the copy is cheaper. */
function inOnePiece(held: readonly Uint8Array[], bytes: number): string | Uint8Array {
  const body = held.length === 1 ? held[0]! : Buffer.concat(held);
  return bytes > ONE_PIECE_BYTES ? body : latin1(body);
}

function latin1(body: Uint8Array): string {
  const buffer = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return buffer.toString("latin1");
}

function isEventStream({ headers }: AnswerHead): boolean {
  for (const [name, value] of headers) if (name === "content-type") return value.startsWith("text/event-stream");
  return false;
}

/** Whether HTTP lets this answer have no body, and with it no trailer: Node throws where one is announced all the same. */
function isBodiless(response: ServerResponse, { status }: AnswerHead): boolean {
  return status === 204 || status === 304 || response.req.method === "HEAD";
}

function flatHeaders(head: AnswerHead, requestId: string): string[] {
  const flat: string[] = [];
  for (const [name, value] of head.headers) flat.push(name, value);
  flat.push("doorward-request-id", requestId);
  return flat;
}
