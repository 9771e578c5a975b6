import { z } from "zod";
import type { Parsed } from "./parsed.ts";

/** Keeps problem and remedy apart inside Zod's one message. Cannot stand in a message: `quote` escapes it. */
const BORDER = "\u0001";

/** A Zod message that holds a problem and its remedy; {@link splitMessage} takes them apart again. */
export function joinMessage(problem: string, remedy: string): string {
  return `${problem}${BORDER}${remedy}`;
}

export function splitMessage(message: string): { readonly problem: string; readonly remedy: string } {
  const [problem = "", remedy = "see docs/reference/config.md"] = message.split(BORDER);
  return { problem, remedy };
}

/** Text that one of the `parse…` functions of this folder reads. `form` names it in the reference: `duration`. */
export function read<T>(form: string, parse: (text: string) => Parsed<T>) {
  return z
    .string()
    .meta({ form })
    .transform((text, context): T => settle(parse(text), context));
}

/** The same for what may be written as a number too. */
export function readNumeric<T>(form: string, parse: (input: string | number) => Parsed<T>) {
  return z
    .union([z.string(), z.number()])
    .meta({ form })
    .transform((input, context): T => settle(parse(input), context));
}

/** Free text of at most `maxChars` characters, on one line unless it says otherwise. */
export function line(maxChars: number) {
  return z
    .string()
    .min(1)
    .max(maxChars)
    .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/)
    .meta({ form: "text" });
}

/** One scope pattern or a list: `on: "*"` and `on: ["a:*", "b:*"]`. */
export function oneOrMore<T extends z.ZodType<unknown, string>>(item: T) {
  return oneOrList().pipe(z.array(item).min(1));
}

/** The same where an empty list means something: a role that allows nothing. */
export function anyNumberOf<T extends z.ZodType<unknown, string>>(item: T) {
  return oneOrList().pipe(z.array(item));
}

function oneOrList() {
  return z
    .union([z.string(), z.array(z.string())])
    .meta({ form: "scope pattern, or a list" })
    .transform((input) => (typeof input === "string" ? [input] : input));
}

/** A map from names to entries; the keys are checked by `parseKey`. */
export function record<T extends z.ZodType>(keyForm: string, parseKey: (text: string) => Parsed<string>, entry: T) {
  return z.record(read(keyForm, parseKey), entry).meta({ keyForm });
}

/** A key whose name is known and whose meaning is not built yet: writing it is a fault, not a typo. */
export function notBuilt(what: string) {
  return z
    .unknown()
    .optional()
    .superRefine((value, context) => {
      if (value !== undefined)
        context.addIssue({ code: "custom", message: joinMessage(`${what} not built yet`, "remove it") });
    })
    .meta({ description: `Not built yet: ${what} not available.`, notBuilt: true });
}

/** A JSON object taken as it is, such as a JSON Schema. */
export function jsonObject() {
  return z.record(z.string(), z.json());
}

function settle<T>(result: Parsed<T>, context: z.RefinementCtx): T {
  if (result.ok) return result.value;
  context.addIssue({ code: "custom", message: joinMessage(result.problem, result.remedy) });
  return z.NEVER;
}
