import { canonicalSegment, MAX_PATH_BYTES, MAX_SEGMENTS } from "./canonical-path.ts";
import { METHODS } from "./canonicalise.ts";

/** One step of a pattern. */
export type PatternStep =
  | { readonly kind: "literal"; readonly text: string }
  /** Exactly one segment, not empty; `encoded` lets it hold what other readers might split. */
  | { readonly kind: "one"; readonly name: string; readonly encoded: boolean }
  /** All that follows, one segment or more; the last may be empty, so `/{rest...}` matches `/`, and `/a/{rest...}` `/a/` but not `/a`. */
  | { readonly kind: "rest"; readonly name: string };

/** `GET /domains/{domain}`, parsed. */
export interface PathPattern {
  /** `*` for any. `GET` does not include `HEAD`: servers differ in what they do with it. */
  readonly method: string;
  readonly steps: readonly PatternStep[];
  /** Of the placeholders, in order. */
  readonly names: readonly string[];
  /** As written. */
  readonly text: string;
}

export type ParsedPattern =
  | { readonly ok: true; readonly pattern: PathPattern }
  | { readonly ok: false; readonly problem: string; readonly remedy: string };

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const EXAMPLE = "Write a method and a path, `GET /domains/{domain}`.";

/**
 * Parses one line of an operation's `allow`.
 *
 * Everything outside of placeholders is literal, compared with decoded segments, case and trailing slash included. What
 * no canonical request can match is a fault, so that a typo does not lie in the file unseen.
 */
export function parsePathPattern(text: string): ParsedPattern {
  const space = text.indexOf(" ");
  const [method, path] = [text.slice(0, Math.max(space, 0)), text.slice(space + 1)];
  if (space === -1) return fault("the method is missing", EXAMPLE);
  if (method !== "*" && !METHODS.includes(method)) {
    return fault(
      `\`${method.slice(0, 32)}\` is no method that can be sent`,
      `Use one of ${METHODS.join(", ")}, or \`*\`.`,
    );
  }
  const unplain = pathFault(path);
  if (unplain !== undefined) return unplain;
  const steps: PatternStep[] = [];
  const parts = path.slice(1).split("/");
  for (const [index, part] of parts.entries()) {
    const step = parseStep(part, index === parts.length - 1);
    if ("ok" in step) return step;
    steps.push(step);
  }
  const names = steps.flatMap((step) => (step.kind === "literal" ? [] : [step.name]));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    return fault(`the placeholder \`${twice}\` stands twice`, "Give each placeholder its own name.");
  return { ok: true, pattern: { method, steps, names, text } };
}

function fault(problem: string, remedy: string): ParsedPattern & { ok: false } {
  return { ok: false, problem, remedy };
}

function pathFault(path: string): (ParsedPattern & { ok: false }) | undefined {
  if (!path.startsWith("/")) return fault("the path does not begin with `/`", EXAMPLE);
  if (path.length > MAX_PATH_BYTES || path.split("/").length > MAX_SEGMENTS + 1) {
    return fault("the path is longer than any that can be sent", `Write at most ${MAX_SEGMENTS} segments.`);
  }
  if (path.includes("?")) return fault("a pattern has no query", "Constrain the query with `query:`, or write `%3F`.");
  if (path.includes("#")) return fault("a pattern has no fragment", "Leave it out, or write `%23`.");
  if (/\s/.test(path)) return fault("the path holds white space", "Write `%20`, and one space after the method.");
  return undefined;
}

function parseStep(part: string, last: boolean): PatternStep | (ParsedPattern & { ok: false }) {
  if (part === "") {
    return last
      ? { kind: "literal", text: "" }
      : fault("the path holds a doubled slash", "Write one `/` between segments.");
  }
  if (part.includes("{") || part.includes("}")) return parsePlaceholder(part, last);
  const ascii = part.isWellFormed() ? part.replace(/[^\x21-\x7e]+/g, encodeURIComponent) : part;
  const segment = canonicalSegment(ascii);
  if (!segment.ok) return fault(`\`${part}\` matches no request: ${segment.problem.message}`, segment.problem.remedy);
  if (segment.segment.encoded) {
    return fault(
      `\`${part}\` is matched only by an \`:encoded\` placeholder`,
      "Write `{name:encoded}` in its place, and constrain it with a policy's `when`.",
    );
  }
  return { kind: "literal", text: segment.segment.text };
}

function parsePlaceholder(part: string, last: boolean): PatternStep | (ParsedPattern & { ok: false }) {
  const inner = /^\{([^{}]*)\}$/.exec(part)?.[1];
  if (inner === undefined) {
    return fault(
      `\`${part}\` mixes a placeholder with text`,
      "A placeholder is a whole segment: write `{name}`, and `%7B`, `%7D` for literal braces.",
    );
  }
  const [, name = "", suffix = ""] = /^(.*?)(\.\.\.|:encoded)?$/s.exec(inner) ?? [];
  if (!NAME.test(name)) {
    return fault(
      `\`${part}\` is no placeholder`,
      "Write `{name}`, `{name...}` or `{name:encoded}`; a name has letters, digits and `_`.",
    );
  }
  if (suffix !== "...") return { kind: "one", name, encoded: suffix === ":encoded" };
  return last
    ? { kind: "rest", name }
    : fault(`\`${part}\` is not at the end`, "Write `{name...}` last, or `{name}` here.");
}
