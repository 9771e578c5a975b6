import type { Problem } from "../base/problem.ts";

/** The head of an upstream's answer, decoded, scrubbed and reduced to what may pass. */
export interface AnswerHead {
  readonly status: number;
  /** Lower-case names; a repeated name stands several times. */
  readonly headers: readonly (readonly [string, string])[];
  /** Of the body as it will come, where the upstream declared it and nothing is decoded; scrubbing may change it. */
  readonly lengthBytes?: number | undefined;
}

/**
 * Who receives an answer as it streams. Exactly one of `end` and `fail` is called, once, and nothing after it.
 * `head` precedes `data`. Chunks are valid after the call (not reused). Nothing is called before `send` has returned.
 */
export interface AnswerSink {
  head(head: AnswerHead): void;
  /**
   * @returns `false` to ask for a pause; the sender then waits for {@link Exchange.resume}. What has been read from
   *   the socket already may still follow: a socket buffer at most, not more.
   */
  data(chunk: Uint8Array): boolean;
  /** Nothing more comes, and its evidence is being written: `end` or `fail` follows. What is held back stays held. */
  settling?(): void;
  /** After `settling`, perhaps: a good time to make ready what `end` will send, while the evidence is on its way to the disk. */
  meanwhile?(): void;
  end(): void;
  /** Before `head`: a refusal. After it: the answer is cut. */
  fail(problem: Problem): void;
}

/** A call under way upstream. */
export interface Exchange {
  /** Redactions so far, in headers and body. When `head` is called, those of the headers are in it. */
  readonly redacted: number;
  resume(): void;
  /** Ends it with this problem; the sink's `fail` is called unless it is over already. */
  abort(problem: Problem): void;
}
