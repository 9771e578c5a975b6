import type { AgentConfig, Config, HttpServiceConfig, OperationConfig } from "../config/schema.ts";
import { compileSnapshot } from "./compile-snapshot.ts";
import type { CompiledAgent, Snapshot } from "./snapshot.ts";

/** The service, the role and, where none is named, the agent of a drill. No file may use the name then. */
export const DRILL_NAME = "doorward-drill";

/** What a drill calls. */
export interface DrillPlace {
  /** Of the service on loopback: `http://127.0.0.1:PORT`. */
  readonly port: number;
  /** The agent of the file that is stopped; absent: one of the drill's own. */
  readonly agent: string | undefined;
}

/**
 * Adds what a drill needs to the rules in force: a service on loopback without a credential, and a role for it.
 *
 * Nothing else changes: no rule of the file speaks of the service, and the agent keeps all that bounds it.
 *
 * @returns What turns the rules in force into those with the drill in them.
 */
export function drillOverlay({ port, agent }: DrillPlace): (snapshot: Snapshot) => Snapshot {
  const compiled = compileSnapshot(drillConfig(port));
  if (!compiled.ok) throw new Error(compiled.faults.map(({ problem }) => problem).join("; "));
  const service = compiled.snapshot.services.get(DRILL_NAME)!;
  const own = compiled.snapshot.agents.get(DRILL_NAME)!;
  return (snapshot) => {
    const known = agent === undefined ? own : snapshot.agents.get(agent);
    if (known === undefined) return snapshot;
    const stopped: CompiledAgent = {
      ...known,
      roles: [...known.roles.filter(({ name }) => name !== DRILL_NAME), ...own.roles],
    };
    return {
      ...snapshot,
      services: new Map([...snapshot.services, [DRILL_NAME, service]]),
      agents: new Map([...snapshot.agents, [known.config.name, stopped]]),
    };
  };
}

function drillConfig(port: number): Config {
  const role = { name: DRILL_NAME, allow: [`${DRILL_NAME}:*`], extends: [], rate: undefined };
  const agent: AgentConfig = {
    name: DRILL_NAME,
    roles: [DRILL_NAME],
    purposes: [],
    networks: [],
    hours: undefined,
    expires: undefined,
  };
  return {
    version: 1,
    server: {
      listen: { host: "127.0.0.1", port: 0 },
      publicUrl: undefined,
      tls: undefined,
      trustedProxies: [],
      legacySse: false,
    },
    store: { url: undefined },
    oauth: { accessTtlSeconds: 600, refreshTtlSeconds: 600, registration: "off", clientDocuments: false },
    services: new Map([[DRILL_NAME, drillService(port)]]),
    roles: new Map([[DRILL_NAME, role]]),
    agents: new Map([[DRILL_NAME, agent]]),
    policies: [],
  };
}

/** Milliseconds; a stream is cut long before. */
const TIMEOUT_MS = 30_000;
const BODY_BYTES = 64 * 1024;

function drillService(port: number): HttpServiceConfig {
  const operation: OperationConfig = {
    name: "run",
    effect: "read",
    allow: ["GET /call", "GET /stream"],
    query: undefined,
    body: undefined,
    tools: [],
    prompts: [],
    resources: [],
    arguments: undefined,
    ranges: false,
    approval: undefined,
  };
  return {
    kind: "http",
    name: DRILL_NAME,
    url: { origin: `http://127.0.0.1:${port}`, protocol: "http:", host: "127.0.0.1", port, basePath: "" },
    private: true,
    credential: undefined,
    headers: { allow: [], set: new Map() },
    limits: { timeoutMs: TIMEOUT_MS, requestBytes: BODY_BYTES, responseBytes: BODY_BYTES, rate: undefined },
    tls: { ca: undefined },
    operations: new Map([[operation.name, operation]]),
  };
}
