import type { JsonObject } from "../base/json.ts";
import type { OperationConfig } from "../config/schema.ts";
import { compileBodySchema, compileQuerySchema } from "../request/json-schema.ts";
import { type PathPattern, parsePathPattern } from "../request/path-pattern.ts";
import { OperationView } from "./cel-views.ts";
import { type FaultList, indexByAgent } from "./compile-policy.ts";
import { digestOf } from "./digest.ts";
import { compileGlob } from "./glob.ts";
import { type MessageTemplate, parseTemplate, placeholdersOf } from "./message-template.ts";
import type { ScopeIndex } from "./scope-index.ts";
import type { CompiledOperation, CompiledPolicy, CompiledRole, CompiledService, OperationItems } from "./snapshot.ts";

type Path = readonly (string | number)[];

/** The rules of the file, sorted for look-up by scope. */
export interface RuleIndexes {
  readonly roles: ScopeIndex<CompiledRole>;
  readonly policies: ScopeIndex<CompiledPolicy>;
  readonly everywhere: CompiledService["everywhere"];
}

/** Compiles one operation and its endpoints; faults are added to the list. */
export function compileOperation(
  config: OperationConfig,
  context: { readonly service: string; readonly at: Path; readonly rules: RuleIndexes; readonly faults: FaultList },
): { operation: CompiledOperation; patterns: readonly PathPattern[] } {
  const { service, at, rules, faults } = context;
  const scope = `${service}:${config.name}`;
  const patterns = compilePatterns(config.allow, [...at, "allow"], faults);
  const { message, preview } = config.approval ?? {};
  const items = compileItems(config, at, faults);
  const written = { patterns, items: items !== undefined, faults };
  const operation: CompiledOperation = {
    config,
    scope,
    effect: config.effect,
    query: compileSchema(config.query, [...at, "query"], faults, compileQuerySchema),
    body: compileSchema(config.body, [...at, "body"], faults, compileBodySchema),
    items,
    rules: {
      roles: new Set(rules.roles.find(service, scope).map(({ name }) => name)),
      policies: indexByAgent(rules.policies.find(service, scope)),
    },
    message: compileTemplate(message, [...at, "approval", "message"], written),
    preview: compileTemplate(preview, [...at, "approval", "preview"], { ...written, preview: true }),
    digest: digestOf({ service, config }),
    view: new OperationView({ service, name: config.name, effect: config.effect }),
  };
  return { operation, patterns };
}

/** @returns `undefined` for an operation that speaks of HTTP requests alone. */
function compileItems(config: OperationConfig, at: Path, faults: FaultList): OperationItems | undefined {
  const { tools, prompts, resources } = config;
  if (tools.length + prompts.length + resources.length === 0) return undefined;
  return {
    tools: tools.map(compileGlob),
    prompts: prompts.map(compileGlob),
    resources: resources.map(compileGlob),
    arguments: compileSchema(config.arguments, [...at, "arguments"], faults, compileBodySchema),
  };
}

function compilePatterns(allow: readonly string[], at: Path, faults: FaultList): readonly PathPattern[] {
  const patterns: PathPattern[] = [];
  for (const [index, text] of allow.entries()) {
    const parsed = parsePathPattern(text);
    if (parsed.ok) patterns.push(parsed.pattern);
    else faults.push({ path: [...at, index], problem: parsed.problem, remedy: parsed.remedy });
  }
  return patterns;
}

function compileSchema<Schema>(
  schema: JsonObject | undefined,
  at: Path,
  faults: FaultList,
  compile: (schema: JsonObject) => { ok: true; schema: Schema } | { ok: false; problem: string; remedy: string },
): Schema | undefined {
  if (schema === undefined) return undefined;
  const compiled = compile(schema);
  if (compiled.ok) return compiled.schema;
  faults.push({ path: at, problem: compiled.problem, remedy: compiled.remedy });
  return undefined;
}

function compileTemplate(
  text: string | undefined,
  at: Path,
  context: {
    readonly patterns: readonly PathPattern[];
    readonly items: boolean;
    readonly faults: FaultList;
    readonly preview?: boolean;
  },
): MessageTemplate | undefined {
  if (text === undefined) return undefined;
  const { patterns, items, faults, preview = false } = context;
  const parsed = parseTemplate(text);
  if (!parsed.ok) {
    const remedy =
      "Write placeholders as `{path.NAME}`, `{query.NAME}`, `{body.a.b}`, `{arguments.a.b}` or, in a message, `{preview.a.b}`.";
    faults.push({ path: at, problem: parsed.problem, remedy });
    return undefined;
  }
  for (const { root, keys, text: written } of placeholdersOf(parsed.template)) {
    if (root === "preview" && preview) {
      faults.push({ path: at, problem: `\`{${written}}\` is not known before the preview`, remedy: "Remove it." });
    }
    if (root === "path" && items) {
      faults.push({
        path: at,
        problem: `\`{${written}}\` is of HTTP requests, and the operation names items of an MCP server`,
        remedy: "Write `{arguments.NAME}`.",
      });
    } else if (root === "path" && !patterns.every(({ names }) => names.includes(keys[0] ?? ""))) {
      faults.push({
        path: at,
        problem: `\`{${written}}\` is not in every path of \`allow\``,
        remedy: "Name a parameter that each path has, or split the operation.",
      });
    }
  }
  return parsed.template;
}
