import { mkdirSync, writeFileSync } from "node:fs";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { annotatedJsonSchema, configJsonSchema } from "./json-schema.ts";

/** Files made from the Zod source, relative to the root of the repository. `node src/config/print-reference.ts` writes them. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/reference/config.md", printReference(annotatedJsonSchema())],
    ["schema/doorward.schema.json", `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ]);
}

const INTRODUCTION = `# doorward.yaml

Generated from \`src/config/file-schema.ts\` by \`node src/config/print-reference.ts\`; do not edit.

No secret may stand in this file. Unknown keys are errors. \`doorward policy check\` names every fault with its line;
\`schema/doorward.schema.json\` lets an editor do it while typing
(\`# yaml-language-server: $schema=…/doorward.schema.json\`).

Forms: a *name* is small letters, digits and \`-\`, a letter first. A *duration* is \`500ms\`, \`30s\`, \`15m\`, \`1h\` or \`90d\`.
A *size* is bytes or \`64KiB\`, \`1MiB\`, \`10MB\`. A *rate* is \`60/minute\` or \`5/10s\`, counted for each agent. A *date* is
\`2027-02-01\` (its first instant in UTC) or \`2027-02-01T08:00:00Z\`. A *network* is \`10.0.0.0/8\` or one address. A *scope
pattern* is \`SERVICE:OPERATION\`, where \`*\` stands for any characters, colons too. A *host* is \`api.github.com\` or
\`10.0.0.5:8080\` (443 where no port stands), never a pattern. A *path* is absolute, or relative to the folder of this file.
`;

interface Row {
  readonly path: string;
  readonly type: string;
  readonly standard: string;
  readonly what: string;
}

function printReference(schema: JsonObject): string {
  const sections = Object.entries(objectOf(schema["properties"])).map(([key, entry]) => {
    const rows = rowsOf(objectOf(entry), key, requiredOf(schema).includes(key));
    return [`## \`${key}\``, "", "| key | type | default | what |", "|---|---|---|---|", ...rows.map(printRow)].join(
      "\n",
    );
  });
  return `${[INTRODUCTION, ...sections].join("\n\n").replace(/\n{3,}/g, "\n\n")}\n`;
}

function printRow({ path, type, standard, what }: Row): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  return `| \`${path}\` | ${cell(type)} | ${cell(standard)} | ${cell(what)} |`;
}

function rowsOf(schema: JsonObject, path: string, required: boolean): readonly Row[] {
  const { standard } = schema;
  const shown =
    standard === undefined
      ? required
        ? "required"
        : ""
      : `\`${typeof standard === "string" ? standard : JSON.stringify(standard)}\``;
  const own: Row = {
    path,
    type: typeOf(schema),
    standard: schema["notBuilt"] === true ? "" : shown,
    what: textOf(schema["description"]),
  };
  return [own, ...childRows(schema, path)];
}

function childRows(schema: JsonObject, path: string): readonly Row[] {
  if (schema["notBuilt"] === true) return [];
  const properties = Object.entries(objectOf(schema["properties"]));
  const rows = properties.flatMap(([key, entry]) =>
    rowsOf(objectOf(entry), `${path}.${key}`, requiredOf(schema).includes(key)),
  );
  if (Array.isArray(schema["oneOf"]))
    rows.push(...schema["oneOf"].flatMap((option) => optionRows(objectOf(option), path)));
  if (schema["keyForm"] !== undefined)
    rows.push(
      ...childRows(objectOf(schema["additionalProperties"]), `${path}.<${textOf(schema["keyForm"]).toUpperCase()}>`),
    );
  if (schema["type"] === "array") rows.push(...childRows(objectOf(schema["items"]), `${path}[]`));
  return rows;
}

/** One kind of a union: `credential (bearer)`. */
function optionRows(option: JsonObject, path: string): readonly Row[] {
  if (option["notBuilt"] === true) return [];
  const kind = textOf(objectOf(objectOf(option["properties"])["kind"])["const"]);
  return childRows(option, path).map((row) => ({ ...row, path: row.path.replace(path, `${path}(${kind})`) }));
}

function typeOf(schema: JsonObject): string {
  if (schema["notBuilt"] === true) return "not built yet";
  if (schema["form"] !== undefined) return textOf(schema["form"]);
  if (schema["const"] !== undefined) return `\`${JSON.stringify(schema["const"])}\``;
  if (Array.isArray(schema["enum"])) return schema["enum"].map((value) => `\`${textOf(value)}\``).join(", ");
  if (Array.isArray(schema["oneOf"])) return "one of its kinds";
  if (Array.isArray(schema["anyOf"])) return schema["anyOf"].map((option) => typeOf(objectOf(option))).join(" or ");
  switch (schema["type"]) {
    case "array":
      return `list of ${typeOf(objectOf(schema["items"]))}`;
    case "object":
      return schema["keyForm"] === undefined && schema["properties"] === undefined ? "JSON Schema" : "map";
    case "string":
      return "text";
    default:
      return textOf(schema["type"]);
  }
}

function requiredOf(schema: JsonObject): readonly JsonValue[] {
  return Array.isArray(schema["required"]) ? schema["required"] : [];
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
}

if (import.meta.main) {
  for (const [path, text] of generatedFiles()) {
    mkdirSync(new URL(`../../${path.slice(0, path.lastIndexOf("/"))}/`, import.meta.url), { recursive: true });
    writeFileSync(new URL(`../../${path}`, import.meta.url), text);
  }
}
