import { Problem, type ProblemCode } from "../base/problem.ts";

/** Characters of the input that a message quotes. */
const MAX_QUOTED_CHARACTERS = 64;

/** A part of a request that cannot be taken. */
export interface Refused {
  readonly ok: false;
  readonly problem: Problem;
}

/** Refuses a part that has no unambiguous form. @param detail - Names the part. @param remedy - What to write in its place. */
export function ambiguous(detail: string, remedy: string): Refused {
  return refused("not_canonical", detail, remedy);
}

/** Refuses a part with any code. */
export function refused(code: ProblemCode, detail: string, remedy?: string): Refused {
  return { ok: false, problem: new Problem(code, { detail, ...(remedy === undefined ? {} : { remedy }) }) };
}

/** Quotes input in a message: short, one line, and with everything visible that is not plain ASCII. */
export function quote(text: string): string {
  const short = text.length > MAX_QUOTED_CHARACTERS ? `${text.slice(0, MAX_QUOTED_CHARACTERS)}…` : text;
  const visible = short.replace(
    /[^\x20-\x5f\x61-\x7e…]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `\`${visible}\``;
}
