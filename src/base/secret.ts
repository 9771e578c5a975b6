import { inspect } from "node:util";

/**
 * A value that must never be printed, logged, serialised or compared by accident.
 *
 * Every implicit path to text yields `[redacted]`; the only way to the bytes is {@link Secret.reveal},
 * which `src/tidy.test.ts` allows in `vault/` and `credentials/` alone.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The secret itself. Call it at the last moment, in the frame that sends or seals it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }

  [Symbol.toPrimitive](): string {
    return "[redacted]";
  }

  [inspect.custom](): string {
    return "[redacted]";
  }
}
