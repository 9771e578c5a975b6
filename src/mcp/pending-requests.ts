import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { RequestId, RpcAnswer } from "./json-rpc.ts";

/** Questions to one client that wait for its answers. */
const MAX_PENDING = 64;

/** What upstream servers asked one client, and wait for. */
export interface PendingRequests {
  /** @param ask - Sends the question under the id. @returns The client's result; rejects on its error, on abort, at the end. */
  ask(ask: (id: RequestId) => void, signal: AbortSignal | undefined): Promise<JsonObject>;
  /** An answer to nothing that was asked is dropped. */
  answer(answer: RpcAnswer): void;
  /** Nobody will answer any more. */
  close(): void;
}

export function createPendingRequests(): PendingRequests {
  const waiting = new Map<RequestId, { resolve(result: JsonObject): void; reject(problem: Problem): void }>();
  let asked = 0;
  let closed = false;
  return {
    ask(send, signal) {
      if (closed || signal?.aborted === true) return Promise.reject(unanswered());
      if (waiting.size >= MAX_PENDING) return Promise.reject(unanswered("the client is being asked too much at once"));
      asked += 1;
      const id = `doorward-${asked}`;
      const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
      waiting.set(id, { resolve, reject });
      const cancel = () => reject(unanswered());
      signal?.addEventListener("abort", cancel, { once: true });
      send(id);
      return promise.finally(() => {
        waiting.delete(id);
        signal?.removeEventListener("abort", cancel);
      });
    },
    answer({ id, result }) {
      const asking = waiting.get(id);
      if (result === undefined) asking?.reject(unanswered("the client answered with an error"));
      else asking?.resolve(result);
    },
    close() {
      closed = true;
      for (const { reject } of waiting.values()) reject(unanswered());
    },
  };
}

function unanswered(detail = "the client did not answer"): Problem {
  return new Problem("upstream_invalid", { detail });
}
