import { createRequire } from "node:module";
import type { Ajv2020, ErrorObject, ValidateFunction } from "ajv/dist/2020.js";
import { RE2JS } from "re2js";
import type { JsonObject, JsonValue } from "../base/json.ts";
import type { QueryPair } from "./canonical-query.ts";
import { reviewSchema, type SchemaFault } from "./review-schema.ts";
import { SCHEMA_FORMATS } from "./schema-formats.ts";

/** Checks a body: JSON, or a form as an object of texts and lists of texts. */
export interface CompiledSchema {
  /**
   * @returns What is at fault, as a place in the data and a keyword of the schema, never a value; `undefined` when the
   * schema accepts. Never throws: a check that cannot be carried out refuses.
   */
  check(value: JsonValue): string | undefined;
  /** The same for a form, whose texts are read as the numbers and booleans that the schema asks for. */
  checkForm(value: { readonly [key: string]: string | readonly string[] }): string | undefined;
}

/** Checks a query. A key that stands once is a text, several times a list; no `=` is the empty text. */
export interface CompiledQuerySchema {
  check(query: readonly QueryPair[]): string | undefined;
}

type Compiled<Schema> = { readonly ok: true; readonly schema: Schema } | ({ readonly ok: false } & SchemaFault);

/** Steps of regular expressions (characters × size of the program) that one check may take: well under 250 ms. */
const MAX_PATTERN_STEPS = 4_000_000;
const MAX_PATTERN_CHARACTERS = 1_024;
const APPLICATORS = ["allOf", "anyOf", "oneOf"];
const INTEGER = /^(?:0|-?[1-9][0-9]{0,14})$/;
const DECIMAL = /^-?(?:0|[1-9][0-9]{0,13})\.[0-9]{1,14}$/;
const MAX_DECIMAL_DIGITS = 15;

/**
 * Compiles an operation's `body:`.
 *
 * A map of names to schemas is short for an object that may have these properties and no others; what has a `type` in
 * words, `properties`, `$ref`, `allOf`, `anyOf` or `oneOf` is a schema as it stands (JSON Schema 2020-12).
 */
export function compileBodySchema(source: JsonObject): Compiled<CompiledSchema> {
  const compiled = compile(source);
  if (!compiled.ok) return compiled;
  const { run, schema } = compiled;
  return { ok: true, schema: { check: run, checkForm: (form) => run(typedProperties(Object.entries(form), schema)) } };
}

/** Compiles an operation's `query:`; see {@link compileBodySchema}. */
export function compileQuerySchema(source: JsonObject): Compiled<CompiledQuerySchema> {
  const compiled = compile(source);
  if (!compiled.ok) return compiled;
  const { run, schema } = compiled;
  return { ok: true, schema: { check: (query) => run(typedProperties(grouped(query), schema)) } };
}

function compile(
  source: JsonObject,
): { ok: true; run: CompiledSchema["check"]; schema: JsonObject } | ({ ok: false } & SchemaFault) {
  const schema = completeSchema(source);
  const fault = reviewSchema(schema);
  if (fault !== undefined) return { ok: false, ...fault };
  try {
    const { ajv, budget } = schemaEngine();
    const validate = ajv.compile(schema);
    return { ok: true, schema, run: (value) => runCheck(validate, value, budget) };
  } catch (error) {
    const problem = error instanceof Error ? error.message.replaceAll("\n", " ") : "it cannot be compiled";
    return {
      ok: false,
      problem: `it is no JSON Schema: ${problem}`,
      remedy: "Correct it; `{name: {type: string}}` is enough.",
    };
  }
}

/** A bare `properties` speaks of objects; without saying so, JSON Schema would take every text and list too. */
function completeSchema(source: JsonObject): JsonObject {
  const { type, properties, $ref } = source;
  if (typeof type === "string" || Array.isArray(type) || typeof $ref === "string") return source;
  if (isObject(properties) && Object.values(properties).every((each) => isObject(each) || typeof each === "boolean")) {
    return { ...source, type: "object" };
  }
  if (APPLICATORS.some((keyword) => Array.isArray(source[keyword]))) return source;
  return { type: "object", properties: source, additionalProperties: false };
}

function runCheck(validate: ValidateFunction, value: JsonValue, budget: { steps: number }): string | undefined {
  budget.steps = MAX_PATTERN_STEPS;
  try {
    return validate(value) ? undefined : describe(validate.errors?.[0]);
  } catch {
    return "is too large to be checked";
  }
}

function describe(error: ErrorObject | undefined): string {
  if (error === undefined) return "is refused by the schema";
  const place = error.instancePath === "" ? "" : `\`${printable(error.instancePath)}\` `;
  const { params, keyword, schemaPath } = error;
  if (keyword === "additionalProperties")
    return `${place}has the key \`${printable(String(params["additionalProperty"]))}\`, which the schema does not know`;
  if (keyword === "required") return `${place}lacks \`${printable(String(params["missingProperty"]))}\``;
  return `${place}is refused by \`${schemaPath}\``;
}

function printable(text: string): string {
  return text.slice(0, 64).replace(/[^\x20-\x5f\x61-\x7e]/g, "?");
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Engine {
  readonly ajv: Ajv2020;
  /** Steps that the running check may still take; checks are synchronous. */
  readonly budget: { steps: number };
  compiled: number;
}

/** An engine keeps something of all that it compiled, so it is replaced after so many schemas. */
const SCHEMAS_PER_ENGINE = 500;
let shared: Engine | undefined;

/**
 * Shared, since its start takes as long as compiling fifty schemas; it has no state that a caller could see. The library
 * is loaded with the first schema: most configurations have none, and it would slow every start.
 */
function schemaEngine(): Engine {
  if (shared === undefined || shared.compiled >= SCHEMAS_PER_ENGINE) {
    const budget = { steps: 0 };
    shared = { ajv: createAjv(budget), budget, compiled: 0 };
  }
  shared.compiled++;
  return shared;
}

function createAjv(budget: { steps: number }): Ajv2020 {
  const { Ajv2020: Compiler } = createRequire(import.meta.url)("ajv/dist/2020.js") as typeof import("ajv/dist/2020.js");
  const regExp = Object.assign((pattern: string) => linearPattern(pattern, budget), { code: "linearPattern" });
  return new Compiler({
    strict: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allErrors: false,
    ownProperties: true,
    addUsedSchema: false,
    logger: false,
    formats: SCHEMA_FORMATS as Record<string, (text: string) => boolean>,
    code: { regExp },
  });
}

/** A regular expression whose cost is linear in the text and counted: past the budget the check fails as a whole. */
function linearPattern(pattern: string, budget: { steps: number }): RegExp {
  if (pattern.length > MAX_PATTERN_CHARACTERS)
    throw new Error(`a pattern is longer than ${MAX_PATTERN_CHARACTERS} characters`);
  const expression = RE2JS.compile(RE2JS.translateRegExp(pattern));
  const size = expression.programSize();
  const matcher = {
    test(text: string): boolean {
      budget.steps -= text.length * size;
      if (budget.steps < 0) throw new Error("the pattern budget is used up");
      return expression.test(text);
    },
    toString: () => `/${pattern}/u`,
  };
  return matcher as RegExp;
}

function grouped(query: readonly QueryPair[]): [string, string | string[]][] {
  const groups = new Map<string, string | string[]>();
  for (const [key, value = ""] of query) {
    const known = groups.get(key);
    if (known === undefined) groups.set(key, value);
    else if (typeof known === "string") groups.set(key, [known, value]);
    else known.push(value);
  }
  return [...groups];
}

/** Reads texts as what the schema of their property asks for. What is not written in the plain form stays a text. */
function typedProperties(
  entries: readonly (readonly [string, string | readonly string[]])[],
  schema: JsonObject,
): JsonObject {
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  const typed = Object.create(null) as Record<string, JsonValue>;
  for (const [key, value] of entries) {
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined;
    typed[key] = isObject(property) ? typedValue(value, property) : value;
  }
  return typed;
}

function typedValue(value: string | readonly string[], property: JsonObject): JsonValue {
  if (property["type"] === "array") {
    const items = isObject(property["items"]) ? property["items"] : {};
    return (typeof value === "string" ? [value] : value).map((item) => typedText(item, items));
  }
  return typeof value === "string" ? typedText(value, property) : value;
}

function typedText(text: string, { type, enum: values }: JsonObject): JsonValue {
  const wanted = new Set<JsonValue | undefined>(Array.isArray(type) ? type : [type]);
  for (const value of Array.isArray(values) && type === undefined ? values : []) wanted.add(typeof value);
  if (wanted.has("string")) return text;
  if (wanted.has("boolean") && (text === "true" || text === "false")) return text === "true";
  if ((wanted.has("integer") || wanted.has("number")) && INTEGER.test(text)) return Number(text);
  if (wanted.has("number") && DECIMAL.test(text) && text.replace(/\D/g, "").length <= MAX_DECIMAL_DIGITS)
    return Number(text);
  return text;
}
