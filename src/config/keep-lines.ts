import { isDeepStrictEqual } from "node:util";
import { parseDocument } from "yaml";

/** One document in three layouts. */
export interface Layouts {
  /** As its author wrote it. */
  readonly before: string;
  /** As the YAML library prints it. */
  readonly printed: string;
  /** As the library prints it after the edit. */
  readonly edited: string;
}

/**
 * Carries an edit over to the text as its author laid it out.
 *
 * A YAML library prints a document in its own layout: comments and spaces move on lines that nobody touched. So only the
 * lines between the first and the last that the edit changed are taken from it; around them stands the author's text.
 *
 * @returns A text that means what `edited` means; `edited` itself when the two layouts differ in more than white space.
 */
export function keepLines({ before, printed, edited }: Layouts): string {
  if (printed === edited) return before;
  if (squash(before) !== squash(printed)) return edited;
  const [base, next] = [printed.split("\n"), edited.split("\n")];
  const head = commonHead(before, base, next);
  const tail = commonTail(before, base.slice(head.lines), next.slice(head.lines));
  const middle = next.slice(head.lines, next.length - tail.lines).join("\n");
  const merged = `${before.slice(0, head.offset)}${middle}${tail.lines === 0 ? "" : "\n"}${before.slice(tail.offset)}`;
  return isDeepStrictEqual(meaningOf(merged), meaningOf(edited)) ? merged : edited;
}

interface Part {
  readonly lines: number;
  /** Where the part ends (head) or begins (tail) in the author's text. */
  readonly offset: number;
}

/** The longest common beginning that ends at the end of one of the author's lines. */
function commonHead(before: string, base: readonly string[], next: readonly string[]): Part {
  let lines = 0;
  while (lines < base.length && lines < next.length && base[lines] === next[lines]) lines++;
  for (; lines > 0; lines--) {
    if (squash(base[lines - 1] ?? "") === "") continue;
    const offset = offsetAfter(before, squash(base.slice(0, lines).join("")).length);
    const rest = /^[^\S\n]*\n/.exec(before.slice(offset));
    if (rest !== null) return { lines, offset: offset + rest[0].length };
  }
  return { lines: 0, offset: 0 };
}

/** The longest common end that begins at the beginning of one of the author's lines. */
function commonTail(before: string, base: readonly string[], next: readonly string[]): Part {
  let lines = 0;
  while (lines < base.length && lines < next.length && base.at(-1 - lines) === next.at(-1 - lines)) lines++;
  const total = squash(before).length;
  for (; lines > 0; lines--) {
    const tail = base.slice(base.length - lines);
    if (squash(tail[0] ?? "") === "") continue;
    const last = offsetAfter(before, total - squash(tail.join("")).length);
    const gap = /^\s*/.exec(before.slice(last))?.[0] ?? "";
    const lineStart = last + gap.lastIndexOf("\n") + 1;
    if (gap.includes("\n") || last === 0) return { lines, offset: lineStart };
  }
  return { lines: 0, offset: before.length };
}

/** The offset behind the `count`-th character that is not white space. */
function offsetAfter(text: string, count: number): number {
  let offset = 0;
  for (let left = count; left > 0; offset++) if (/\S/.test(text[offset] ?? "")) left--;
  return offset;
}

function squash(text: string): string {
  return text.replace(/\s+/g, "");
}

function meaningOf(text: string): unknown {
  const document = parseDocument(text, { uniqueKeys: false, logLevel: "silent" });
  return document.errors.length > 0 ? undefined : document.toJS({ maxAliasCount: 1_000 });
}
