/** The exit statuses of the contract. */
export const EXIT = { done: 0, failed: 1, usage: 2, refused: 3, found: 4 } as const;

/** Ends a command with a status; what there is to say was said, or is the message. */
export class CommandFailure extends Error {
  readonly status: number;

  constructor(status: number, message = "") {
    super(message);
    this.status = status;
  }
}
