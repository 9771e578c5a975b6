/** A piece of text read into a value, or what is wrong with it and what to write instead. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | Unparsed;

/** Both lower case, no full stop, user input in backticks, never a secret. */
export interface Unparsed {
  readonly ok: false;
  readonly problem: string;
  readonly remedy: string;
}

export function parsed<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

export function unparsed(problem: string, remedy: string): Unparsed {
  return { ok: false, problem, remedy };
}
