import type { ServerResponse } from "node:http";
import type { Cancellation } from "../base/cancellation.ts";

/**
 * What a call asks of its answer over HTTP: whether the client went away before it, and when it has left the process.
 *
 * A response closes when its last byte was taken over by the system, or when its connection ends.
 */
export class AnswerWatch implements Cancellation {
  aborted = false;
  readonly #onLeave: (() => void)[] = [];
  #onSent: (() => void)[] | undefined = [];

  constructor(response: ServerResponse) {
    if (response.closed || response.destroyed) this.#closed(response);
    else response.on("close", () => this.#closed(response));
  }

  /** Calls back when the answer has left, or will not; at once when that has come already. */
  readonly whenSent = (then: () => void): void => {
    if (this.#onSent === undefined) then();
    else this.#onSent.push(then);
  };

  addEventListener(_: "abort", listener: () => void): void {
    this.#onLeave.push(listener);
  }

  removeEventListener(_: "abort", listener: () => void): void {
    const at = this.#onLeave.indexOf(listener);
    if (at !== -1) this.#onLeave.splice(at, 1);
  }

  #closed(response: ServerResponse): void {
    if (!response.writableFinished) {
      this.aborted = true;
      for (const leave of this.#onLeave.splice(0)) leave();
    }
    const sent = this.#onSent ?? [];
    this.#onSent = undefined;
    for (const then of sent) then();
  }
}
