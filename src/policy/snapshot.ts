import type {
  AgentConfig,
  Config,
  Effect,
  HttpServiceConfig,
  McpServiceConfig,
  OperationConfig,
  PolicyConfig,
  Rate,
} from "../config/schema.ts";
import type { CompiledQuerySchema, CompiledSchema } from "../request/json-schema.ts";
import type { OperationMatcher } from "../request/operation-matcher.ts";
import type { RequestForm } from "../request/request-form.ts";
import type { OperationView } from "./cel-views.ts";
import type { Expression } from "./compile-expression.ts";
import type { Glob } from "./glob.ts";
import type { Hours } from "./hours.ts";
import type { Kills } from "./kills.ts";
import type { MessageTemplate } from "./message-template.ts";
import type { Networks } from "./network.ts";

/** The rules in force at one moment: immutable, and whole, so that a decision sees one state and names it. */
export interface Snapshot {
  /** Digest of the configuration; kills do not change it. */
  readonly id: string;
  readonly config: Config;
  readonly services: ReadonlyMap<string, CompiledService>;
  readonly agents: ReadonlyMap<string, CompiledAgent>;
  readonly kills: Kills;
}

export type CompiledService = CompiledHttpService | CompiledMcpService;

export interface CompiledHttpService extends ServiceRules {
  readonly kind: "http";
  readonly config: HttpServiceConfig;
}

export interface CompiledMcpService extends ServiceRules {
  readonly kind: "mcp";
  readonly config: McpServiceConfig;
}

interface ServiceRules {
  /** What a request to it may look like; the face adds its `door`. */
  readonly form: Omit<RequestForm, "door">;
  /** Further roots (PEM) for its TLS. */
  readonly ca: string | undefined;
  readonly matcher: OperationMatcher<CompiledOperation>;
  readonly operations: ReadonlyMap<string, CompiledOperation>;
  /** Rules with the pattern `*`, for every operation of every service. */
  readonly everywhere: OperationRules & { readonly permits: AgentIndex };
  /** `service:NAME` with the service's own rate. */
  readonly rate: CountedRate | undefined;
  /** The other roles, and policies that permit, that give anything on it: who may know of it. */
  readonly givers: { readonly roles: ReadonlySet<string>; readonly policies: AgentIndex };
}

export interface CompiledOperation {
  readonly config: OperationConfig;
  /** `service:operation`. */
  readonly scope: string;
  readonly effect: Effect;
  readonly query: CompiledQuerySchema | undefined;
  readonly body: CompiledSchema | undefined;
  /** On an MCP server: which of its items it speaks of. */
  readonly items: OperationItems | undefined;
  readonly rules: OperationRules;
  readonly message: MessageTemplate | undefined;
  /** Begins with `GET `. */
  readonly preview: MessageTemplate | undefined;
  /** Digest of its definition: an approval binds it. */
  readonly digest: string;
  readonly view: OperationView;
}

/** Which items of an MCP server an operation speaks of, by their own names. */
export interface OperationItems {
  readonly tools: readonly Glob[];
  readonly prompts: readonly Glob[];
  /** Over URIs. */
  readonly resources: readonly Glob[];
  /** Of the arguments of tools and prompts. */
  readonly arguments: CompiledSchema | undefined;
}

/** Which roles allow an operation, and which policies speak of it. */
export interface OperationRules {
  readonly roles: ReadonlySet<string>;
  readonly policies: AgentIndex;
}

/** Policies by the agent they name, so that a thousand agents cost a decision nothing. */
export interface AgentIndex {
  /** Those that name no agent, or name agents by pattern. */
  readonly any: readonly CompiledPolicy[];
  readonly byAgent: ReadonlyMap<string, readonly CompiledPolicy[]>;
}

export interface CompiledAgent {
  readonly config: AgentConfig;
  /** Its roles and all that they extend, each once. */
  readonly roles: readonly CompiledRole[];
  readonly roleNames: readonly string[];
  readonly networks: Networks | undefined;
  readonly hours: Hours | undefined;
}

export interface CompiledRole {
  readonly name: string;
  /** `role:NAME`. */
  readonly rule: string;
  readonly rate: Rate | undefined;
}

export interface CompiledPolicy {
  readonly config: PolicyConfig;
  /** `policy:ID`. */
  readonly rule: string;
  readonly effect: PolicyConfig["effect"];
  /** Each: `undefined` means any. */
  readonly agents: readonly Glob[] | undefined;
  readonly tenants: readonly Glob[] | undefined;
  readonly environments: readonly Glob[] | undefined;
  readonly purposes: readonly Glob[] | undefined;
  readonly effects: ReadonlySet<Effect> | undefined;
  readonly networks: Networks | undefined;
  readonly hours: Hours | undefined;
  readonly when: Expression | undefined;
  /** Digest of its definition: an approval binds those that asked. */
  readonly digest: string;
}

/** A rate and the rule whose calls it counts. */
export interface CountedRate {
  readonly rule: string;
  readonly rate: Rate;
}
