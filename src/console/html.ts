import { escapeHtml } from "../base/escape-html.ts";

/** Markup that is safe to send: made by {@link html} alone. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a hole of {@link html}. Nothing is printed for `undefined` and `false`. */
export type Hole = string | number | Markup | readonly Hole[] | undefined | false;

/**
 * Builds markup. Whatever stands in a hole is text, unless it was built here: nothing that a caller sent can become markup.
 *
 * Holes belong between tags and in double-quoted attributes; never in a script, a style or a tag's name.
 */
export function html(parts: TemplateStringsArray, ...holes: readonly Hole[]): Markup {
  return new Markup(parts.map((part, i) => part + (i < holes.length ? print(holes[i]) : "")).join(""));
}

function print(hole: Hole): string {
  if (hole === undefined || hole === false) return "";
  if (hole instanceof Markup) return hole.text;
  if (typeof hole === "object") return hole.map(print).join("");
  return escapeHtml(String(hole));
}
