import { compileGlob, type Glob } from "./glob.ts";

/** Finds the rules whose scope patterns match an operation without trying all of them. */
export interface ScopeIndex<Rule> {
  /** Rules with the pattern `*`: kept apart, as they would stand at every operation. */
  readonly everywhere: readonly Rule[];
  /** The others that match this scope, each once. */
  find(service: string, scope: string): readonly Rule[];
}

/**
 * Sorts rules by what their patterns begin with: a whole scope, a whole service, or neither.
 *
 * @param rules - Each with its patterns over `service:operation`.
 */
export function createScopeIndex<Rule>(
  rules: Iterable<{ readonly rule: Rule; readonly on: readonly string[] }>,
): ScopeIndex<Rule> {
  const everywhere: Rule[] = [];
  const byScope = new Map<string, Rule[]>();
  const byService = new Map<string, Entry<Rule>[]>();
  const others: Entry<Rule>[] = [];

  for (const { rule, on } of rules) {
    if (on.some((pattern) => /^\*+$/.test(pattern))) {
      everywhere.push(rule);
      continue;
    }
    for (const pattern of new Set(on)) {
      const glob = compileGlob(pattern);
      const service = pattern.slice(0, Math.max(0, pattern.indexOf(":")));
      if (glob.literal) add(byScope, pattern, rule);
      else if (service !== "" && !service.includes("*")) add(byService, service, { glob, rule });
      else others.push({ glob, rule });
    }
  }
  const find = (service: string, scope: string): readonly Rule[] => {
    const found = new Set(byScope.get(scope));
    for (const entries of [byService.get(service) ?? [], others]) {
      for (const { glob, rule } of entries) if (glob.matches(scope)) found.add(rule);
    }
    return [...found];
  };
  return { everywhere, find };
}

interface Entry<Rule> {
  readonly glob: Glob;
  readonly rule: Rule;
}

function add<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [value]);
  else known.push(value);
}
