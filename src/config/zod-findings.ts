import { z } from "zod";
import { nearest } from "./nearest.ts";
import { quote } from "./quote.ts";
import type { ConfigPath, Fault } from "./schema.ts";
import { joinMessage, splitMessage } from "./zod-fields.ts";

/** Unknown keys of one map beyond this are left to the next run. */
const MAX_UNKNOWN_KEYS = 200;

/** A fault of shape; `at` says whether the key or its value is wrong. */
export interface ShapeFault extends Fault {
  readonly at: "key" | "value";
}

/** Puts Zod's issues into this project's words: passed to `safeParse` as its error map. */
export function describeIssue(issue: z.core.$ZodRawIssue): string {
  const key = String(issue.path?.at(-1) ?? "");
  switch (issue.code) {
    case "invalid_type":
      return describeType(issue, key);
    case "invalid_value":
      return describeValue(issue.values.map(String), issue.input, key);
    case "unrecognized_keys":
      return knownKeys(issue.inst).join(" ");
    case "invalid_union":
      return describeUnion(issue, key);
    case "too_small":
      return joinMessage(
        issue.origin === "number" || issue.origin === "int" ? "the number is too small" : "this is empty",
        atLeast(issue),
      );
    case "too_big":
      return joinMessage(
        "this is too much",
        `write at most ${issue.maximum}${issue.origin === "string" ? " characters" : ""}`,
      );
    case "invalid_format":
      return joinMessage("the text holds a line break or control character", "write it on one line");
    default:
      return joinMessage("this is not valid", "see docs/reference/config.md");
  }
}

/** The faults of a failed parse, one for each unknown key. */
export function listShapeFaults(error: z.ZodError): readonly ShapeFault[] {
  return error.issues.flatMap((issue): ShapeFault[] => {
    const path = issue.path as ConfigPath;
    if (issue.code === "unrecognized_keys") {
      return issue.keys
        .slice(0, MAX_UNKNOWN_KEYS)
        .map((key) => ({ path: [...path, key], at: "key", ...describeUnknownKey(key, issue.message.split(" ")) }));
    }
    if (issue.code === "invalid_key")
      return [{ path, at: "key", ...splitMessage(issue.issues[0]?.message ?? issue.message) }];
    return [{ path, at: "value", ...splitMessage(issue.message) }];
  });
}

function describeUnknownKey(key: string, known: readonly string[]): { problem: string; remedy: string } {
  const meant = nearest(key, known);
  const remedy =
    meant === undefined
      ? `remove it; known are ${known.map((name) => `\`${name}\``).join(", ")}`
      : `write \`${meant}\``;
  return { problem: `the key ${quote(key)} is not known`, remedy };
}

function describeType(
  { expected, input, inst }: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidType>,
  key: string,
): string {
  const kind = formOf(inst) ?? KINDS.get(expected) ?? expected;
  if (input === undefined) return joinMessage(`\`${key}\` is missing`, `add \`${key}: …\``);
  if (input === null) return joinMessage("this is empty", `write ${kind}, or remove the key`);
  const quotes =
    expected === "string" && typeof input !== "object" && kind === KINDS.get("string") ? ", in quotes" : "";
  return joinMessage(`this is ${kindOf(input)}`, `write ${kind}${quotes}`);
}

function describeValue(values: readonly string[], input: unknown, key: string): string {
  const list = values.map((value) => `\`${value}\``).join(", ");
  if (input === undefined)
    return joinMessage(
      `\`${key}\` is missing`,
      `add \`${key}: ${values[0]}\`${values.length > 1 ? `, one of ${list}` : ""}`,
    );
  const shown = typeof input === "object" ? kindOf(input) : quote(String(input));
  const meant = typeof input === "string" ? nearest(input, values) : undefined;
  return joinMessage(
    `${shown} is not a value of \`${key}\``,
    meant === undefined ? `write ${values.length > 1 ? "one of " : ""}${list}` : `write \`${meant}\``,
  );
}

function describeUnion(issue: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidUnion>, key: string): string {
  const { discriminator } = issue as { discriminator?: string };
  if (discriminator !== undefined) {
    const input = (issue.input as { [name: string]: unknown } | null)?.[discriminator];
    return describeValue(discriminatorValues(issue.inst), input, discriminator);
  }
  if (issue.input === undefined) return joinMessage(`\`${key}\` is missing`, `add \`${key}: …\``);
  return joinMessage(`this is ${kindOf(issue.input)}`, "write a text, or a list of texts");
}

function atLeast(issue: z.core.$ZodRawIssue<z.core.$ZodIssueTooSmall>): string {
  return issue.origin === "array"
    ? "write at least one item"
    : issue.origin === "string"
      ? "write some text, or remove the key"
      : `write at least ${issue.minimum}`;
}

const KINDS: ReadonlyMap<string, string> = new Map([
  ["string", "a text"],
  ["object", "a map of keys"],
  ["record", "a map of names"],
  ["array", "a list"],
  ["boolean", "`true` or `false`"],
  ["number", "a number"],
  ["int", "a whole number"],
]);

/** What a text must be, by the `form` that its schema carries. */
const FORMS: ReadonlyMap<string, string> = new Map([
  ["duration", "a duration, as in `30s`"],
  ["rate", "a rate, as in `60/minute`"],
  ["date", "a date, as in `2027-02-01`"],
  ["secret reference", "a reference to a secret, as in `local:NAME`"],
  ["name", "a name, as in `dns-bot`"],
  ["host", "a host, as in `api.github.com` or `10.0.0.5:8080`"],
  ["path", "a path, absolute or relative to the folder of this file"],
  ["variable", "a variable, as in `GITHUB_TOKEN`"],
]);

function formOf(inst: unknown): string | undefined {
  const form = inst instanceof z.core.$ZodType ? z.globalRegistry.get(inst)?.["form"] : undefined;
  return typeof form === "string" ? FORMS.get(form) : undefined;
}

function kindOf(input: unknown): string {
  if (Array.isArray(input)) return "a list";
  if (input === null) return "empty";
  return typeof input === "object" ? "a map" : typeof input === "string" ? "a text" : `a ${typeof input}`;
}

function knownKeys(inst: unknown): readonly string[] {
  return Object.keys((inst as { _zod?: { def?: { shape?: object } } } | undefined)?._zod?.def?.shape ?? {});
}

function discriminatorValues(inst: unknown): readonly string[] {
  const options = (inst as { _zod?: { def?: { options?: z.ZodObject<{ kind: z.ZodLiteral<string> }>[] } } } | undefined)
    ?._zod?.def?.options;
  return (options ?? [])
    .filter((option) => option.meta()?.["notBuilt"] !== true)
    .flatMap((option) => [...option.shape.kind.values]);
}
