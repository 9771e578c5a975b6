import type { Problem } from "../base/problem.ts";
import type { AnswerHead, AnswerSink, Exchange } from "./answer.ts";
import type { OutboundRequest } from "./outbound-request.ts";

/** An answer that is small enough to be had at once. */
export interface WholeAnswer extends AnswerHead {
  readonly body: Buffer;
}

/**
 * Sends one of Doorward's own requests and waits for the whole answer, which the request's `responseBytes` bounds.
 *
 * @param judge - Looks at the head; what it returns ends the exchange, and nothing of the body is read.
 * @returns Rejects with the `Problem` that egress, or the judge, gives.
 */
export function collectWhole(
  egress: { send(request: OutboundRequest, sink: AnswerSink): Exchange },
  request: OutboundRequest,
  judge: (head: AnswerHead) => Problem | undefined = () => undefined,
): Promise<WholeAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<WholeAnswer>();
  const chunks: Uint8Array[] = [];
  let head: AnswerHead | undefined;
  const exchange = egress.send(request, {
    head(answer) {
      head = answer;
      const problem = judge(answer);
      if (problem !== undefined) exchange.abort(problem);
    },
    data: (chunk) => chunks.push(chunk) > 0,
    end: () => resolve({ ...head!, body: Buffer.concat(chunks) }),
    fail: reject,
  });
  return promise;
}
