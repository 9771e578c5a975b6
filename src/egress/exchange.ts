import type { Dispatcher } from "undici";
import { Problem } from "../base/problem.ts";
import type { AnswerSink, Exchange } from "./answer.ts";
import { passHeaders } from "./answer-headers.ts";
import { type BodyDecoder, type Coding, createBodyDecoder, decodeWhole, parseContentEncoding } from "./decode-body.ts";
import { createSmallChunkJoiner } from "./join-small.ts";
import type { OutboundRequest, ScrubStream } from "./outbound-request.ts";
import type { ScrubTurns } from "./scrub-turns.ts";
import { type AnswerStage, invalidAnswer, upstreamProblem } from "./upstream-problem.ts";

/** Interim answers (1xx) of one call; each may be as large as a head, and there is no end to them otherwise. */
const INTERIM_MAX = 8;
const ANSWER_HEADERS_MAX = 256;
/** Encoded bytes may be more than decoded ones, by the frames of an encoding; not by more than this. */
const ENCODING_OVERHEAD_BYTES = 64 * 1024;
/** Looked through at a stretch, before others get their turn. */
const SLICE_BYTES = 32 * 1024;
const NO_BODY_STATUSES: ReadonlySet<number> = new Set([204, 304]);

/** As undici gives them: lower-case names, an array where a header stands several times. */
type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

interface ReceivedHead {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly headerCount: number;
}

/** Ends undici's side of a call that is over on ours; it never reaches the sink. */
const OVER = new Error("over");

/**
 * One call upstream: undici's handler on one side, the sink's {@link Exchange} on the other.
 *
 * A class because it lives as long as the call: it owns the deadline, the decoder and the connection's controller,
 * and lets go of all of them when it is over, once, whoever ends it.
 */
export class UpstreamExchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #request: OutboundRequest;
  readonly #sink: AnswerSink;
  readonly #turns: ScrubTurns;
  readonly #onOver: () => void;
  readonly #deadline: NodeJS.Timeout;
  readonly #joiner = createSmallChunkJoiner((chunk) => this.#guarded(() => this.#receive(chunk)));
  #controller: Dispatcher.DispatchController | undefined;
  #scrub: ScrubStream | undefined;
  #codings: readonly Coding[] = [];
  #decoder: BodyDecoder | undefined;
  #stage: AnswerStage = "nothing";
  #launched = false;
  #over = false;
  /** All of the body is here, though a decoder may still be at work on it. */
  #complete = false;
  #sinkPaused = false;
  /** Decoded and not yet scrubbed, since the event loop is others' for now. Nothing more is read meanwhile. */
  #unscrubbed: Uint8Array[] = [];
  /** What comes after the unscrubbed: the end, or a limit. */
  #afterwards: (() => void) | undefined;
  #decoderFull = false;
  #interim = 0;
  #receivedBytes = 0;
  #decodedBytes = 0;
  #headRedacted = 0;

  constructor(
    request: OutboundRequest,
    sink: AnswerSink,
    deps: { readonly turns: ScrubTurns; readonly onOver: () => void },
  ) {
    this.#request = request;
    this.#sink = sink;
    this.#turns = deps.turns;
    this.#onOver = deps.onOver;
    this.#deadline = setTimeout(() => this.abort(new Problem("upstream_timeout")), request.timeoutMs);
  }

  get redacted(): number {
    return this.#headRedacted + (this.#scrub?.redacted ?? 0);
  }

  /** Called when `send` is about to return: from here on the sink may be called at once. */
  launched(): void {
    this.#launched = true;
  }

  resume(): void {
    if (!this.#sinkPaused || this.#over) return;
    this.#sinkPaused = false;
    // Undici's parser is not re-entrant, and the caller may stand in the callback of another call's.
    queueMicrotask(() => this.#goOn());
  }

  abort(problem: Problem): void {
    if (this.#over) return;
    this.#close();
    this.#controller?.abort(OVER);
    if (this.#launched) this.#sink.fail(problem);
    else queueMicrotask(() => this.#sink.fail(problem));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It waited for a connection and was given up meanwhile: undici then sends nothing.
    if (this.#over) controller.abort(OVER);
  }

  onResponseStarted(): void {
    if (this.#stage === "nothing") this.#stage = "head";
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: AnswerHeaders): void {
    if (this.#over) return;
    const headerCount = (controller.rawHeaders as readonly unknown[]).length / 2;
    const refusal = status < 200 ? this.#refuseInterim(status) : this.#refuseHead({ status, headers, headerCount });
    if (refusal !== undefined) this.abort(refusal);
    else if (status >= 200) this.#start(status, headers);
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (!this.#over) this.#joiner.push(chunk);
  }

  onResponseEnd(): void {
    this.#complete = true;
    this.#joiner.flush();
    if (this.#over) return;
    if (this.#decoder === undefined) this.#end();
    else this.#decoder.end();
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    this.#joiner.flush();
    this.abort(upstreamProblem(error, this.#stage));
  }

  #refuseInterim(status: number): Problem | undefined {
    this.#interim += 1;
    if (status === 101) return invalidAnswer("the service wants another protocol");
    return this.#interim > INTERIM_MAX ? invalidAnswer("the service sends interim answers without end") : undefined;
  }

  #refuseHead({ status, headers, headerCount }: ReceivedHead): Problem | undefined {
    if (status > 599) return invalidAnswer("the answer has no valid status");
    if (headerCount > ANSWER_HEADERS_MAX) return invalidAnswer("the answer has too many headers");
    if (!this.#request.rangesAllowed && isPartial(status, headers)) {
      return invalidAnswer("the answer is a part that nobody asked for");
    }
    const codings = codingsOf(headers);
    if (codings === undefined) return invalidAnswer("the answer has an unknown content encoding");
    return this.#hasBody(status) && codings.length === 0 && this.#declaresTooMuch(headers) ? tooLarge() : undefined;
  }

  #start(status: number, headers: AnswerHeaders): void {
    const { target, basePath, path, publicBase, scrubber, rangesAllowed, passing, answerHeaders } = this.#request;
    const view = { origin: target.origin, basePath, path, publicBase };
    const passed = passHeaders(headers, { view, scrubber, rangesAllowed, passing, names: answerHeaders });
    this.#headRedacted = passed.redacted;
    if (this.#hasBody(status)) {
      this.#scrub = scrubber?.stream();
      this.#codings = codingsOf(headers) ?? [];
    }
    this.#stage = "body";
    const lengthBytes = this.#codings.length === 0 ? declaredLength(headers) : undefined;
    this.#sink.head({ status, headers: passed.headers, lengthBytes });
  }

  #hasBody(status: number): boolean {
    return this.#request.method !== "HEAD" && !NO_BODY_STATUSES.has(status);
  }

  #declaresTooMuch(headers: AnswerHeaders): boolean {
    return this.#request.overLimit === "refuse" && Number(headers["content-length"]) > this.#request.responseBytes;
  }

  #createDecoder(codings: readonly Coding[]): BodyDecoder {
    const layerBytesMax = this.#request.responseBytes + ENCODING_OVERHEAD_BYTES;
    return createBodyDecoder(codings, layerBytesMax, {
      data: (chunk) => this.#guarded(() => this.#deliver(chunk)),
      drain: () => {
        this.#decoderFull = false;
        if (!this.#sinkPaused && !this.#behind) this.#controller?.resume();
      },
      end: () => this.#guarded(() => this.#endDecoded()),
      fail: (problem) => this.abort(problem),
    });
  }

  /** Takes what came off the wire: into the decoder, or on its way. */
  #receive(chunk: Uint8Array): void {
    if (this.#over) return;
    const plain = this.#codings.length === 0 ? chunk : this.#decodeAtOnce(chunk);
    if (plain !== undefined) {
      this.#deliver(plain);
      return;
    }
    this.#receivedBytes += chunk.length;
    this.#decoder ??= this.#createDecoder(this.#codings);
    if (this.#receivedBytes > this.#request.responseBytes + ENCODING_OVERHEAD_BYTES) {
      this.abort(tooLarge());
    } else if (!this.#decoder.write(chunk)) {
      this.#decoderFull = true;
      this.#controller?.pause();
    }
  }

  /** A small body that came whole need not go through streams, which cost more than all the rest of a call. */
  #decodeAtOnce(chunk: Uint8Array): Uint8Array | undefined {
    return this.#complete && this.#receivedBytes === 0 ? decodeWhole(this.#codings, chunk) : undefined;
  }

  /** Decoders and joiner call from events of their own, where a throw would end the process instead of the call. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.abort(upstreamProblem(error, this.#stage));
    }
  }

  #deliver(chunk: Uint8Array): void {
    const room = this.#request.responseBytes - this.#decodedBytes;
    if (chunk.length <= room) {
      this.#decodedBytes += chunk.length;
      this.#scrubInto(chunk);
      return;
    }
    this.#decodedBytes += room;
    if (room > 0) this.#scrubInto(chunk.subarray(0, room));
    // INVARIANT: what the scrubber keeps back is dropped here; it may be the first half of a secret.
    this.#whenScrubbed(() => this.abort(tooLarge()));
  }

  get #behind(): boolean {
    return this.#unscrubbed.length > 0;
  }

  #scrubInto(chunk: Uint8Array): void {
    if (this.#scrub === undefined) this.#emit(chunk);
    else if (this.#behind) this.#unscrubbed.push(chunk);
    else this.#scrubSlices(chunk, this.#scrub);
  }

  /** Scrubs while this turn has time; the rest of the chunk waits for another. */
  #scrubSlices(chunk: Uint8Array, scrub: ScrubStream): void {
    for (let at = 0; at < chunk.length; at += SLICE_BYTES) {
      if (this.#over) return;
      if (!this.#turns.hasTime()) {
        this.#wait(chunk.subarray(at));
        return;
      }
      this.#turns.run(() => this.#emit(scrub.push(chunk.subarray(at, at + SLICE_BYTES))));
    }
  }

  #wait(rest: Uint8Array): void {
    this.#unscrubbed.unshift(rest);
    this.#decoder?.pause();
    this.#controller?.pause();
    this.#turns.later(() => this.#guarded(() => this.#catchUp()));
  }

  #catchUp(): void {
    while (!this.#over && this.#behind) {
      const chunk = this.#unscrubbed.shift()!;
      const waiting = this.#unscrubbed.length;
      this.#scrubSlices(chunk, this.#scrub!);
      if (this.#unscrubbed.length > waiting) return;
    }
    if (this.#over) return;
    this.#goOn();
    this.#afterwards?.();
  }

  #whenScrubbed(step: () => void): void {
    if (this.#behind) this.#afterwards ??= step;
    else step();
  }

  #goOn(): void {
    if (this.#over || this.#sinkPaused || this.#behind) return;
    this.#decoder?.resume();
    if (!this.#decoderFull) this.#controller?.resume();
  }

  #emit(chunks: Uint8Array | readonly Uint8Array[]): void {
    for (const chunk of chunks instanceof Uint8Array ? [chunks] : chunks) {
      if (this.#over || chunk.length === 0) continue;
      if (!this.#sink.data(chunk) && !this.#over) this.#pause();
    }
  }

  #pause(): void {
    this.#sinkPaused = true;
    this.#decoder?.pause();
    this.#controller?.pause();
  }

  #end(): void {
    if (this.#over) return;
    if (this.#behind) {
      this.#whenScrubbed(() => this.#end());
      return;
    }
    if (this.#scrub !== undefined) this.#emit(this.#scrub.end());
    if (this.#over) return;
    this.#close();
    this.#sink.end();
  }

  /** An encoding that ends before its body does has something behind it; nobody knows how much. */
  #endDecoded(): void {
    if (this.#complete) this.#end();
    else this.abort(invalidAnswer("the answer goes on behind the end of its content encoding"));
  }

  #close(): void {
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#unscrubbed = [];
    this.#decoder?.destroy();
    this.#onOver();
  }
}

function tooLarge(): Problem {
  return new Problem("upstream_too_large");
}

function codingsOf(headers: AnswerHeaders): readonly Coding[] | undefined {
  return parseContentEncoding(String(headers["content-encoding"] ?? ""));
}

function declaredLength(headers: AnswerHeaders): number | undefined {
  const declared = headers["content-length"];
  return declared === undefined ? undefined : Number(declared);
}

/** A part of a resource: two parts can put together again what the scrubber took out of each. */
function isPartial(status: number, headers: AnswerHeaders): boolean {
  return status === 206 || /multipart\/byteranges/i.test(String(headers["content-type"] ?? ""));
}
