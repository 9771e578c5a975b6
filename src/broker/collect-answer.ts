import { Problem } from "../base/problem.ts";
import type { AnswerHead, AnswerSink } from "../egress/answer.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { CallRequest, RunningCall } from "./call-request.ts";

/** A whole answer, kept in memory. */
export interface CollectedAnswer {
  readonly head: AnswerHead;
  readonly body: Buffer;
  readonly truncated: boolean;
  readonly redacted: number;
}

export interface CollectOptions {
  /** Shared by all collectors of the process. */
  readonly budget: ByteBudget;
  readonly signal?: AbortSignal | undefined;
  /** Takes over giving the bytes back, once the answer has left the process; without it they are given back at once. */
  readonly whenSent?: ((then: () => void) => void) | undefined;
  /** Told of the whole answer a little earlier, perhaps, while its evidence is on its way to the disk. It may still fail. */
  readonly prepare?: ((answer: CollectedAnswer) => void) | undefined;
}

/**
 * Runs a call and keeps its answer whole, for doors whose messages cannot stream.
 *
 * @throws {Problem} Whatever the call was refused with; `upstream_too_large` when the process has no room left for answers.
 */
export function collectAnswer(
  run: (request: CallRequest, sink: AnswerSink) => RunningCall,
  request: CallRequest,
  { budget, signal, whenSent, prepare }: CollectOptions,
): Promise<CollectedAnswer> {
  return new Promise((resolve, reject) => {
    let head: AnswerHead | undefined;
    const chunks: Uint8Array[] = [];
    let kept = 0;
    let starved = false;
    const leave = () => call.leave();
    const holder = request.principal.agent;
    const give = () => budget.give(holder, kept);
    const settle = () => {
      signal?.removeEventListener("abort", leave);
    };
    const answer = (): CollectedAnswer => {
      const body =
        chunks.length === 1 ? Buffer.from(chunks[0]!.buffer, chunks[0]!.byteOffset, kept) : Buffer.concat(chunks);
      return { head: head!, body, truncated: call.truncated, redacted: call.redacted };
    };
    const call = run(request, {
      head: (h) => {
        head = h;
      },
      data(chunk) {
        if (starved) return true;
        if (!budget.take(holder, chunk.length)) {
          starved = true;
          leave();
          return true;
        }
        kept += chunk.length;
        chunks.push(chunk);
        return true;
      },
      meanwhile() {
        if (!starved) prepare?.(answer());
      },
      end() {
        settle();
        if (whenSent === undefined || starved) give();
        else whenSent(give);
        if (starved) return reject(noRoom());
        resolve(answer());
      },
      fail(problem) {
        settle();
        give();
        reject(starved ? noRoom() : problem);
      },
    });
    if (signal?.aborted) leave();
    else signal?.addEventListener("abort", leave, { once: true });
  });
}

function noRoom(): Problem {
  return new Problem("upstream_too_large", { detail: "too many large answers are being read at once" });
}
