import type { JsonValue } from "../base/json.ts";

/** A text with places for values, as `approval.message` and `approval.preview` write it. */
export interface MessageTemplate {
  readonly parts: readonly (string | Placeholder)[];
}

/** `{path.domain}`: where the value is taken from, and the way to it. */
export interface Placeholder {
  readonly root: (typeof PLACEHOLDER_ROOTS)[number];
  /** At least one name; for `path` and `query` exactly one. */
  readonly keys: readonly string[];
  /** As it was written, without braces. */
  readonly text: string;
}

export const PLACEHOLDER_ROOTS = ["path", "query", "body", "arguments", "preview"] as const;

/** Length of a template, in UTF-16 units. */
const MAX_TEMPLATE_LENGTH = 2_048;

/** Parses a template; the fault is one clause. */
export function parseTemplate(text: string): { ok: true; template: MessageTemplate } | { ok: false; problem: string } {
  if (text.length > MAX_TEMPLATE_LENGTH) return { ok: false, problem: `longer than ${MAX_TEMPLATE_LENGTH} characters` };
  const parts: (string | Placeholder)[] = [];
  for (const [index, piece] of text.split(/\{([^{}]*)\}/).entries()) {
    if (index % 2 === 0) {
      if (/[{}]/.test(piece)) return { ok: false, problem: "a brace without its partner" };
      if (piece !== "") parts.push(piece);
      continue;
    }
    const placeholder = parsePlaceholder(piece);
    if (placeholder === undefined) return { ok: false, problem: `\`{${piece}}\` names nothing` };
    parts.push(placeholder);
  }
  return { ok: true, template: { parts } };
}

function parsePlaceholder(text: string): Placeholder | undefined {
  const [first = "", ...keys] = text.split(".");
  const root = PLACEHOLDER_ROOTS.find((known) => known === first);
  if (root === undefined || keys.length === 0 || keys.includes("")) return undefined;
  // A query key may hold a dot; a path parameter and the members of a body may not.
  if (root === "query") return { root, keys: [keys.join(".")], text };
  if (root === "path" && keys.length > 1) return undefined;
  return { root, keys, text };
}

/** The placeholders of a template. */
export function placeholdersOf(template: MessageTemplate): readonly Placeholder[] {
  return template.parts.filter((part) => typeof part !== "string");
}

/** What placeholders are filled from. */
export interface TemplateValues {
  readonly path: ReadonlyMap<string, string>;
  /** Each key with all its values. */
  readonly query: ReadonlyMap<string, readonly string[]>;
  readonly body: JsonValue | undefined;
  /** Of an MCP call. */
  readonly arguments: JsonValue | undefined;
  /** The answer to the preview request; `undefined` when it was not asked or did not come. */
  readonly preview: JsonValue | undefined;
}

/**
 * The value that a placeholder stands for, own members only.
 *
 * @returns `undefined` when it is not there, or when a query key has several values and so none that is *the* value.
 */
export function findValue(placeholder: Placeholder, values: TemplateValues): JsonValue | undefined {
  const [key = ""] = placeholder.keys;
  switch (placeholder.root) {
    case "path":
      return values.path.get(key);
    case "query": {
      const found = values.query.get(key);
      return found?.length === 1 ? found[0] : undefined;
    }
    case "body":
      return memberOf(values.body, placeholder.keys);
    case "arguments":
      return memberOf(values.arguments, placeholder.keys);
    case "preview":
      return memberOf(values.preview, placeholder.keys);
  }
}

function memberOf(value: JsonValue | undefined, keys: readonly string[]): JsonValue | undefined {
  let at = value;
  for (const key of keys) {
    if (typeof at !== "object" || at === null) return undefined;
    if (Array.isArray(at) && key === "length") return at.length;
    if (!Object.hasOwn(at, key)) return undefined;
    at = (at as { readonly [key: string]: JsonValue })[key];
  }
  return at;
}
