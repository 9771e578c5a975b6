import type { JsonValue } from "../base/json.ts";
import { findValue, type MessageTemplate, placeholdersOf, type TemplateValues } from "./message-template.ts";

/** Length of one value in a message, in code points; the rest is cut and said so. */
export const MAX_SHOWN_VALUE = 200;

/** What stands for a part of the preview that is not known. */
const UNKNOWN = "(unknown)";

/**
 * Fills the message that an approver reads.
 *
 * Values come from the agent, so each is shown in a form that cannot pose as other text: see {@link showValue}.
 * Placeholders of `preview` that are not known read `(unknown)`.
 *
 * @returns `missing` names the placeholder of path, query or body that the request has no single value for.
 */
export function renderMessage(
  template: MessageTemplate,
  values: TemplateValues,
): { ok: true; text: string } | { ok: false; missing: string } {
  let text = "";
  for (const part of template.parts) {
    if (typeof part === "string") {
      text += part;
      continue;
    }
    const value = findValue(part, values);
    if (value !== undefined) text += showValue(value);
    else if (part.root === "preview") text += UNKNOWN;
    else return { ok: false, missing: part.text };
  }
  return { ok: true, text };
}

/**
 * Fills the preview's request target (`/domains/a/records?type=A`).
 *
 * A value stays within its segment or query value: it is percent-encoded, and one that would be a dot segment, be
 * empty, or hold a slash in the path is not taken.
 *
 * @param template - Begins with `GET `, as {@link checkPreview} has it.
 */
export function renderPreview(
  template: MessageTemplate,
  values: Omit<TemplateValues, "preview">,
): { ok: true; target: string } | { ok: false; missing: string } {
  let target = "";
  for (const part of template.parts) {
    if (typeof part === "string") {
      target += part;
      continue;
    }
    const value = findValue(part, { ...values, preview: undefined });
    const text = typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? `${value}` : "";
    const inPath = !target.includes("?");
    if (text === "" || !text.isWellFormed() || (inPath && (/[/\\]/.test(text) || /^[.\s]+$/.test(text)))) {
      return { ok: false, missing: part.text };
    }
    target += encodeURIComponent(text);
  }
  return { ok: true, target: target.slice("GET ".length) };
}

/**
 * A value as a person may safely read it: no control, direction, zero-width or line-breaking character has an effect.
 *
 * What would not print is written as `\u{…}`; backslashes are doubled, so that the writing is unambiguous.
 */
export function showValue(value: JsonValue): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const points = [...text.slice(0, MAX_SHOWN_VALUE * 2)];
  const shown = points.slice(0, MAX_SHOWN_VALUE).map(showCharacter).join("");
  return points.length > MAX_SHOWN_VALUE ? `${shown}… (${text.length} characters)` : shown;
}

/** Controls, formats (direction, zero width), surrogates, private use, unassigned; separators but the space; fillers. */
const INVISIBLE =
  /[\p{C}\p{Zl}\p{Zp}\u{115F}\u{1160}\u{3164}\u{FFA0}\u{2800}]|\u{034F}|\p{Variation_Selector}|(?! )\p{Zs}/u;

function showCharacter(character: string): string {
  if (character === "\\") return "\\\\";
  return INVISIBLE.test(character) ? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}` : character;
}

/** Whether a template takes anything from the body. */
export function readsBody(template: MessageTemplate | undefined): boolean {
  return template !== undefined && placeholdersOf(template).some(({ root }) => root === "body" || root === "arguments");
}
