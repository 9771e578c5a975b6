import { z } from "zod";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { fileSchema } from "./file-schema.ts";
import { NAME_PATTERN, OPERATION_PATTERN } from "./names.ts";
import { VARIABLE_PATTERN } from "./server-environment.ts";

/** What a map's keys must look like, by the form that the schema names. */
const KEY_PATTERNS: ReadonlyMap<string, string> = new Map([
  ["name", NAME_PATTERN.source],
  ["operation", OPERATION_PATTERN.source],
  ["variable", VARIABLE_PATTERN.source],
]);
/** What our Zod schemas say beyond JSON Schema: for the reference, not for editors. */
const ANNOTATIONS = ["form", "keyForm", "notBuilt", "standard"];

/**
 * The JSON Schema of doorward.yaml for editors, from the one Zod source.
 *
 * It knows keys, types and names; what a text must hold beyond that, `doorward policy check` says.
 */
export function configJsonSchema(): JsonObject {
  return convert((schema) => {
    for (const name of ANNOTATIONS) delete schema[name];
  });
}

/** The same with `form`, `keyForm`, `notBuilt` and `standard` (the value that holds when the key is absent). */
export function annotatedJsonSchema(): JsonObject {
  return convert(() => {});
}

function convert(finish: (schema: { [key: string]: unknown }) => void): JsonObject {
  const converted = z.toJSONSchema(fileSchema, {
    io: "input",
    target: "draft-7",
    unrepresentable: "any",
    reused: "inline",
    override: ({ jsonSchema }) => {
      const schema = jsonSchema as { [key: string]: unknown };
      const pattern = KEY_PATTERNS.get(String(schema["keyForm"]));
      if (schema["keyForm"] !== undefined) schema["propertyNames"] = { type: "string", ...(pattern && { pattern }) };
      if (schema["notBuilt"] === true) schema["not"] = {};
      if (schema["standard"] !== undefined) schema["default"] = schema["standard"];
      finish(schema);
    },
  });
  const { $schema, ...rest } = JSON.parse(JSON.stringify(converted)) as { [key: string]: JsonValue };
  return { $schema: $schema ?? "", title: "doorward.yaml", ...rest };
}
