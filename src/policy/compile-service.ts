import type { ServiceConfig } from "../config/schema.ts";
import { createOperationMatcher } from "../request/operation-matcher.ts";
import type { PathPattern } from "../request/path-pattern.ts";
import { checkPreview } from "./check-preview.ts";
import { compileOperation, type RuleIndexes } from "./compile-operation.ts";
import { type FaultList, indexByAgent } from "./compile-policy.ts";
import type { CompiledOperation, CompiledPolicy, CompiledService } from "./snapshot.ts";

/** Compiles one service, an operation at a time; faults are added to the list. */
export function* compileService(
  config: ServiceConfig,
  context: { readonly rules: RuleIndexes; readonly faults: FaultList; readonly ca: string | undefined },
): Generator<void, CompiledService> {
  const { rules, faults, ca } = context;
  const operations = new Map<string, CompiledOperation>();
  const endpoints: { pattern: PathPattern; operation: CompiledOperation }[] = [];
  for (const [name, operationConfig] of config.operations) {
    const at = ["services", config.name, "operations", name];
    const { operation, patterns } = compileOperation(operationConfig, { service: config.name, at, rules, faults });
    operations.set(name, operation);
    for (const pattern of patterns) endpoints.push({ pattern, operation });
    yield;
  }
  const matcher = createOperationMatcher(endpoints);
  for (const [name, operation] of operations) {
    if (operation.preview === undefined) continue;
    const fault = config.kind === "http" ? checkPreview(operation.preview, matcher) : PREVIEW_OF_MCP;
    if (fault === undefined) continue;
    faults.push({ path: ["services", config.name, "operations", name, "approval", "preview"], ...fault });
  }
  const rulesOf = {
    form: requestForm(config),
    ca,
    matcher,
    operations,
    everywhere: rules.everywhere,
    rate: config.limits.rate === undefined ? undefined : { rule: `service:${config.name}`, rate: config.limits.rate },
    givers: giversOf([...operations.values()].map((operation) => operation.rules)),
  };
  return config.kind === "http" ? { kind: "http", config, ...rulesOf } : { kind: "mcp", config, ...rulesOf };
}

const PREVIEW_OF_MCP = {
  problem: "previews are HTTP requests, and this is an MCP server",
  remedy: "Remove `preview`; the message can name `{arguments.NAME}`.",
};

function requestForm(config: ServiceConfig): CompiledService["form"] {
  const { name, headers, limits, credential, operations } = config;
  return {
    service: name,
    allowHeaders: new Set(headers.allow),
    setHeaders: headers.set,
    // Whether the operation at hand allows it is for the decision, which knows the operation.
    ranges: [...operations.values()].some(({ ranges }) => ranges),
    requestBytes: limits.requestBytes,
    credential: {
      ...(credential?.kind === "header" ? { header: credential.name } : {}),
      ...(credential?.kind === "query" ? { query: credential.name } : {}),
    },
  };
}

function giversOf(rules: readonly CompiledOperation["rules"][]): CompiledService["givers"] {
  const roles = new Set<string>();
  const policies = new Set<CompiledPolicy>();
  for (const each of rules) {
    for (const role of each.roles) roles.add(role);
    for (const policy of [each.policies.any, ...each.policies.byAgent.values()].flat()) {
      if (policy.effect === "permit") policies.add(policy);
    }
  }
  return { roles, policies: indexByAgent([...policies]) };
}
