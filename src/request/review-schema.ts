import type { JsonObject, JsonValue } from "../base/json.ts";
import { SCHEMA_FORMATS } from "./schema-formats.ts";

/** Values in one schema, its texts and numbers included. */
export const MAX_SCHEMA_VALUES = 2_000;
export const MAX_SCHEMA_DEPTH = 32;
/** Schemas that a check may pass through, each `$ref` counted anew wherever it stands. */
const MAX_EXPANDED_SCHEMAS = 5_000;
/** Comparing each with each must stay cheap. */
const MAX_UNIQUE_ITEMS = 1_000;

export interface SchemaFault {
  readonly problem: string;
  readonly remedy: string;
}

/** Keywords whose value is data, not schemas. */
const DATA = new Set(["enum", "const", "default", "examples"]);
/** Keywords whose value is a map of names to schemas. */
const NAMED = new Set(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"]);
const REFUSED = new Map([
  ["$id", "Leave `$id` out; references are local, `#/$defs/name`."],
  ["$async", "Leave `$async` out."],
  ["$dynamicRef", "Use `$ref`."],
  ["$dynamicAnchor", "Use `$defs` and `$ref`."],
  ["$anchor", 'Use `$defs` and `$ref: "#/$defs/name"`.'],
  ["$vocabulary", "Leave `$vocabulary` out."],
]);

/**
 * Looks for what a schema compiler would take, but a broker must not: references that leave the schema or come back to
 * themselves, and checks whose cost an agent could blow up with a body.
 *
 * @returns The first fault, or `undefined`. Cost is linear in the schema, up to its limit.
 */
export function reviewSchema(schema: JsonObject): SchemaFault | undefined {
  const tally = { values: 0 };
  const fault = sizeFault(schema, tally, 0) ?? keywordFault(schema);
  if (fault !== undefined) return fault;
  const expanded = expandedSize(schema, schema, { known: new Map(), open: new Set() });
  if (expanded === "recursive") {
    return { problem: "a `$ref` leads back to itself", remedy: "Write the schema out to the depth that is needed." };
  }
  if (expanded === "dangling") return { problem: "a `$ref` leads nowhere", remedy: "Point it at `#/$defs/name`." };
  return expanded > MAX_EXPANDED_SCHEMAS ? tooLarge() : undefined;
}

function tooLarge(): SchemaFault {
  return {
    problem: `the schema is too large (${MAX_SCHEMA_VALUES} values, ${MAX_SCHEMA_DEPTH} levels)`,
    remedy: "Describe what must be checked, and leave the rest out.",
  };
}

function sizeFault(value: JsonValue, tally: { values: number }, depth: number): SchemaFault | undefined {
  if (++tally.values > MAX_SCHEMA_VALUES || depth > MAX_SCHEMA_DEPTH) return tooLarge();
  if (typeof value !== "object" || value === null) return undefined;
  for (const item of Object.values(value)) {
    const fault = sizeFault(item, tally, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function keywordFault(schema: JsonObject): SchemaFault | undefined {
  for (const [keyword, value] of Object.entries(schema)) {
    const remedy = REFUSED.get(keyword);
    if (remedy !== undefined) return { problem: `\`${keyword}\` is not supported`, remedy };
    if (keyword === "$ref" && !(typeof value === "string" && /^#(?:\/|$)/.test(value))) {
      return { problem: "a `$ref` leaves the schema", remedy: "Copy what it refers to into `$defs`." };
    }
    if (keyword === "format" && !(typeof value === "string" && Object.hasOwn(SCHEMA_FORMATS, value))) {
      return {
        problem: `the format \`${String(value).slice(0, 32)}\` is not known`,
        remedy: `Use one of ${Object.keys(SCHEMA_FORMATS).join(", ")}, or a \`pattern\`.`,
      };
    }
  }
  const { maxItems } = schema;
  if (schema["uniqueItems"] === true && !(typeof maxItems === "number" && maxItems <= MAX_UNIQUE_ITEMS)) {
    return { problem: "`uniqueItems` without a limit", remedy: `Add \`maxItems\`, at most ${MAX_UNIQUE_ITEMS}.` };
  }
  for (const child of subschemas(schema)) {
    const fault = keywordFault(child);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function* subschemas(schema: JsonObject): Generator<JsonObject> {
  for (const [keyword, value] of Object.entries(schema)) {
    if (DATA.has(keyword) || !isContainer(value)) continue;
    if (Array.isArray(value) || NAMED.has(keyword)) {
      for (const item of Object.values(value)) if (isSchema(item)) yield item;
    } else if (isSchema(value)) yield value;
  }
}

function isContainer(value: JsonValue | undefined): value is JsonObject | readonly JsonValue[] {
  return typeof value === "object" && value !== null;
}

function isSchema(value: JsonValue | undefined): value is JsonObject {
  return isContainer(value) && !Array.isArray(value);
}

interface Expansion {
  readonly known: Map<JsonObject, number>;
  readonly open: Set<JsonObject>;
}

/** How many schemas a check may pass through, when each reference is followed. */
function expandedSize(schema: JsonObject, root: JsonObject, state: Expansion): number | "recursive" | "dangling" {
  const known = state.known.get(schema);
  if (known !== undefined) return known;
  if (state.open.has(schema)) return "recursive";
  state.open.add(schema);
  const children = [...subschemas(schema)];
  const ref = schema["$ref"];
  if (typeof ref === "string") {
    const target = resolve(ref, root);
    if (target === undefined) return "dangling";
    if (target !== true) children.push(target);
  }
  let size = 1;
  for (const child of children) {
    const inner = expandedSize(child, root, state);
    if (typeof inner === "string") return inner;
    size += inner;
  }
  state.open.delete(schema);
  state.known.set(schema, size);
  return size;
}

/** A local reference, `#/$defs/name`. @returns `true` for a boolean schema, `undefined` when it leads nowhere. */
function resolve(ref: string, root: JsonObject): JsonObject | true | undefined {
  let at: JsonValue | undefined = root;
  for (const step of ref.split("/").slice(1)) {
    const key = decodePointer(step);
    if (key === undefined || !isContainer(at) || !Object.hasOwn(at, key)) return undefined;
    at = (at as JsonObject)[key];
  }
  return typeof at === "boolean" ? true : isSchema(at) ? at : undefined;
}

function decodePointer(step: string): string | undefined {
  try {
    return decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return undefined;
  }
}
