import type { JsonObject, JsonValue } from "../base/json.ts";
import type {
  AgentConfig,
  Config,
  HttpServiceConfig,
  McpServiceConfig,
  OperationConfig,
  PolicyConfig,
  RoleConfig,
  SandboxConfig,
  ServiceConfig,
  StdioServerConfig,
} from "../config/schema.ts";
import type { Principal } from "../identity/principal.ts";
import { type CanonicalRequest, canonicalise } from "../request/canonicalise.ts";
import { canonicaliseMcp, type McpMethod } from "../request/mcp-call.ts";
import { compileSnapshot } from "./compile-snapshot.ts";
import { createCounters } from "./counters.ts";
import type { Question } from "./decide.ts";
import type { Snapshot } from "./snapshot.ts";

/** A working day's noon. */
export const NOON = new Date("2026-11-18T12:00:00Z");

/** Builders of configuration: the least that is valid, then what the test is about. */
export function operation(name: string, parts: Partial<OperationConfig> = {}): OperationConfig {
  const http = { effect: "read", query: undefined, body: undefined, ranges: false, approval: undefined } as const;
  return {
    ...http,
    tools: [],
    prompts: [],
    resources: [],
    arguments: undefined,
    allow: [`GET /${name}`],
    ...parts,
    name,
  };
}

export function service(
  name: string,
  operations: readonly OperationConfig[],
  parts: Partial<HttpServiceConfig> = {},
): HttpServiceConfig {
  return {
    kind: "http",
    url: { origin: "https://api.example", protocol: "https:", host: "api.example", port: 443, basePath: "" },
    private: false,
    credential: { kind: "bearer", secret: `local:${name}-key` },
    headers: { allow: [], set: new Map() },
    limits: { timeoutMs: 1_000, requestBytes: 1_048_576, responseBytes: 1_048_576, rate: undefined },
    tls: { ca: undefined },
    ...parts,
    name,
    operations: new Map(operations.map((each) => [each.name, each])),
  };
}

/** An MCP server that is started, unless the parts say otherwise. */
export function mcpService(
  name: string,
  operations: readonly OperationConfig[],
  parts: Partial<McpServiceConfig> = {},
): McpServiceConfig {
  const { url: _, ...base } = service(name, operations);
  return {
    ...base,
    kind: "mcp",
    server: stdioServer(),
    credential: {
      kind: "env",
      name: "KEY",
      secret: `local:${name}-key`,
      hosts: [{ host: "api.example", port: 443 }],
      place: "header",
      file: undefined,
    },
    ...parts,
    name,
    operations: base.operations,
  };
}

/** A server that would be started, in a sandbox with these places. */
export function stdioServer(places: Partial<SandboxConfig> = {}): StdioServerConfig {
  const limits = { memoryBytes: 2 ** 29, cpu: 1, processes: 64 };
  return {
    transport: "stdio",
    command: "/bin/true",
    args: [],
    cwd: undefined,
    env: new Map(),
    sandbox: { mode: "strict", network: [], read: [], write: [], ...limits, ...places },
  };
}

export function role(name: string, allow: readonly string[], parts: Partial<RoleConfig> = {}): RoleConfig {
  return { extends: [], rate: undefined, ...parts, name, allow };
}

export function agent(name: string, roles: readonly string[], parts: Partial<AgentConfig> = {}): AgentConfig {
  return { purposes: [], networks: [], hours: undefined, expires: undefined, ...parts, name, roles };
}

export function policy(id: string, effect: PolicyConfig["effect"], parts: Partial<PolicyConfig> = {}): PolicyConfig {
  return {
    on: ["*"],
    when: undefined,
    agents: [],
    tenants: [],
    environments: [],
    purposes: [],
    effects: [],
    networks: [],
    hours: undefined,
    expires: undefined,
    rate: undefined,
    approvers: undefined,
    ...parts,
    id,
    effect,
  };
}

/** The parts of a configuration that rules are made of. */
export interface Rules {
  readonly services?: readonly ServiceConfig[];
  readonly roles?: readonly RoleConfig[];
  readonly agents?: readonly AgentConfig[];
  readonly policies?: readonly PolicyConfig[];
}

export function config({ services = [], roles = [], agents = [], policies = [] }: Rules): Config {
  return {
    version: 1,
    server: {
      listen: { host: "127.0.0.1", port: 7420 },
      publicUrl: undefined,
      tls: undefined,
      trustedProxies: [],
      legacySse: false,
    },
    store: { url: undefined },
    oauth: { accessTtlSeconds: 600, refreshTtlSeconds: 2_592_000, registration: "open", clientDocuments: false },
    services: byName(services),
    roles: byName(roles),
    agents: byName(agents),
    policies,
  };
}

/** A snapshot that must compile. */
export function snapshotOf(rules: Rules): Snapshot {
  const compiled = compileSnapshot(config(rules));
  if (!compiled.ok)
    throw new Error(compiled.faults.map(({ path, problem }) => `${path.join(".")}: ${problem}`).join("; "));
  return compiled.snapshot;
}

export function principal(parts: Partial<Principal> = {}): Principal {
  return {
    agent: "bot",
    client: "key_1",
    user: undefined,
    tenant: undefined,
    environment: undefined,
    purpose: undefined,
    task: undefined,
    ip: "127.0.0.1",
    token: { kind: "api_key", id: "key_1", expiresAt: new Date("2030-01-01") },
    ...parts,
  };
}

/** What is sent: method and target, JSON body, headers. */
export interface Sent {
  readonly json?: JsonValue;
  readonly text?: string;
  readonly headers?: readonly (readonly [string, string])[];
}

/** The canonical form of a request that must have one. */
export function requestTo(snapshot: Snapshot, line: string, sent: Sent = {}, name = "dns"): CanonicalRequest {
  const [method = "GET", target = "/"] = line.split(" ");
  const text = sent.text ?? (sent.json === undefined ? undefined : JSON.stringify(sent.json));
  const body = text === undefined ? undefined : new TextEncoder().encode(text);
  const type: readonly (readonly [string, string])[] =
    sent.json === undefined ? [] : [["content-type", "application/json"]];
  const form = snapshot.services.get(name)?.form;
  if (form === undefined) throw new Error(`no service ${name}`);
  const canonical = canonicalise(
    { method, target, headers: [...type, ...(sent.headers ?? [])], body },
    { ...form, door: "mcp" },
  );
  if (!canonical.ok) throw canonical.problem;
  return canonical.request;
}

/** The canonical form of an MCP call that must have one: `tools/call get_issue`. */
export function mcpRequestTo(line: string, args: JsonObject = {}, name = "github"): CanonicalRequest {
  const [method = "", item = ""] = line.split(" ");
  const raw = { kind: "mcp", method: method as McpMethod, name: item, arguments: args, lossy: false } as const;
  const canonical = canonicaliseMcp(raw, { service: name, requestBytes: 1_048_576 });
  if (!canonical.ok) throw canonical.problem;
  return canonical.request;
}

/** The question whether `bot` may make this MCP call at noon. */
export function mcpQuestion(
  snapshot: Snapshot,
  line: string,
  parts: { readonly arguments?: JsonObject; readonly principal?: Partial<Principal>; readonly to?: string } = {},
): Question {
  const { to = "github" } = parts;
  const target = snapshot.services.get(to);
  if (target === undefined) throw new Error(`no service ${to}`);
  return {
    snapshot,
    service: target,
    request: mcpRequestTo(line, parts.arguments, to),
    now: NOON,
    counters: createCounters(),
    principal: principal(parts.principal),
  };
}

/** The question whether `bot` may send this line (`GET /path`) at noon. */
export function question(
  snapshot: Snapshot,
  line: string,
  parts: Partial<Omit<Question, "principal" | "request">> & {
    readonly sent?: Sent;
    readonly principal?: Partial<Principal>;
    readonly to?: string;
  } = {},
): Question {
  const { sent, to = "dns", principal: who, ...rest } = parts;
  const target = snapshot.services.get(to);
  if (target === undefined) throw new Error(`no service ${to}`);
  return {
    snapshot,
    service: target,
    request: requestTo(snapshot, line, sent, to),
    now: NOON,
    counters: createCounters(),
    ...rest,
    principal: principal(who),
  };
}

function byName<Item extends { readonly name: string }>(items: readonly Item[]): ReadonlyMap<string, Item> {
  return new Map(items.map((item) => [item.name, item]));
}
