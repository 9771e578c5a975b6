import type { Cancellation } from "../base/cancellation.ts";
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
  readonly signal?: Cancellation | undefined;
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
  options: CollectOptions,
): Promise<CollectedAnswer> {
  return new Promise((resolve, reject) => {
    const collector = new Collector(options, request.principal.agent, { resolve, reject });
    collector.begin(run(request, collector));
  });
}

/** Keeps one answer. A class and not closures: there is one for every call over MCP. */
class Collector implements AnswerSink {
  readonly #options: CollectOptions;
  readonly #holder: string;
  readonly #settle: Pick<PromiseWithResolvers<CollectedAnswer>, "resolve" | "reject">;
  readonly #chunks: Uint8Array[] = [];
  #head: AnswerHead | undefined;
  #kept = 0;
  #starved = false;
  /** Set before anything of the answer comes. */
  #call!: RunningCall;

  constructor(
    options: CollectOptions,
    holder: string,
    settle: Pick<PromiseWithResolvers<CollectedAnswer>, "resolve" | "reject">,
  ) {
    this.#options = options;
    this.#holder = holder;
    this.#settle = settle;
  }

  begin(call: RunningCall): void {
    this.#call = call;
    const { signal } = this.#options;
    if (signal?.aborted) call.leave();
    else signal?.addEventListener("abort", this.#leave, { once: true });
  }

  head(head: AnswerHead): void {
    this.#head = head;
  }

  data(chunk: Uint8Array): boolean {
    if (this.#starved) return true;
    if (!this.#options.budget.take(this.#holder, chunk.length)) {
      this.#starved = true;
      this.#call.leave();
      return true;
    }
    this.#kept += chunk.length;
    this.#chunks.push(chunk);
    return true;
  }

  meanwhile(): void {
    if (!this.#starved) this.#options.prepare?.(this.#answer());
  }

  end(): void {
    this.#detach();
    const { whenSent } = this.#options;
    if (whenSent === undefined || this.#starved) this.#give();
    else whenSent(this.#give);
    if (this.#starved) this.#settle.reject(noRoom());
    else this.#settle.resolve(this.#answer());
  }

  fail(problem: Problem): void {
    this.#detach();
    this.#give();
    this.#settle.reject(this.#starved ? noRoom() : problem);
  }

  readonly #leave = (): void => this.#call.leave();
  readonly #give = (): void => this.#options.budget.give(this.#holder, this.#kept);

  #detach(): void {
    this.#options.signal?.removeEventListener("abort", this.#leave);
  }

  #answer(): CollectedAnswer {
    const chunks = this.#chunks;
    const body =
      chunks.length === 1 ? Buffer.from(chunks[0]!.buffer, chunks[0]!.byteOffset, this.#kept) : Buffer.concat(chunks);
    return { head: this.#head!, body, truncated: this.#call.truncated, redacted: this.#call.redacted };
  }
}

function noRoom(): Problem {
  return new Problem("upstream_too_large", { detail: "too many large answers are being read at once" });
}
