import { spawn } from "node:child_process";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { AuditEvent } from "../audit/event.ts";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { Relay, UpstreamCall } from "../broker/upstream-call.ts";
import type { EnvCredentialConfig, McpServerConfig, McpServiceConfig } from "../config/schema.ts";
import type { Exchange } from "../egress/answer.ts";
import { principal } from "../policy/policy.testing.ts";
import type { CompiledMcpService } from "../policy/snapshot.ts";
import { canonicaliseMcp, type McpMethod } from "../request/mcp-call.ts";
import type { ChildSpec, Sandbox } from "../sandbox/child-spec.ts";
import type { EgressSession } from "../sandbox/egress-session.ts";
import type { Lease } from "../vault/create-vault.ts";
import { createUpstreams, type UpstreamsDeps } from "./create-upstreams.ts";
import type { Surface } from "./surface.ts";
import type { Upstreams } from "./upstreams.ts";

/** What the staged vault hands out for every reference. */
export const STAGED_KEY = "ghp_SECRET0123456789abcdefghijklmnop";

const CREDENTIAL: EnvCredentialConfig = {
  kind: "env",
  name: "TOKEN",
  secret: "local:token",
  hosts: [{ host: "api.example", port: 443 }],
  place: "header",
  file: undefined,
};

/** A stdio service that runs one of the scripted servers. */
export function scripted(modes: readonly string[] = [], parts: Partial<McpServiceConfig> = {}): CompiledMcpService {
  return compiled({ ...parts, server: stdioServer("scripted-server.testing.ts", modes) });
}

/** A stdio service that runs the SDK's server. */
export function dualEra(modes: readonly string[] = []): CompiledMcpService {
  return compiled({ server: stdioServer("dual-era-server.testing.ts", modes) });
}

function stdioServer(file: string, modes: readonly string[]): McpServerConfig {
  return {
    transport: "stdio",
    command: process.execPath,
    args: [join(import.meta.dirname, file), ...modes],
    cwd: undefined,
    env: new Map([["PLAIN", "yes"]]),
    sandbox: { mode: "strict", network: [], read: [], write: [], memoryBytes: 2 ** 29, cpu: 1, processes: 64 },
  };
}

/** A service with the least that upstreams look at. */
export function compiled(parts: Partial<McpServiceConfig> & Pick<McpServiceConfig, "server">): CompiledMcpService {
  const config: McpServiceConfig = {
    kind: "mcp",
    name: "srv",
    private: false,
    headers: { allow: [], set: new Map() },
    limits: { timeoutMs: 10_000, requestBytes: 1_048_576, responseBytes: 262_144, rate: undefined },
    tls: { ca: undefined },
    operations: new Map(),
    credential: parts.server.transport === "stdio" ? CREDENTIAL : undefined,
    ...parts,
  };
  return { kind: "mcp", config, ca: undefined } as unknown as CompiledMcpService;
}

export interface Stage {
  readonly upstreams: Upstreams;
  readonly events: AuditEvent[];
  readonly children: { readonly spec: ChildSpec; readonly pid: number }[];
  readonly sessions: EgressSession[];
  readonly judged: Surface[];
  readonly held: Set<string>;
  readonly services: Map<string, CompiledMcpService>;
}

/** Upstreams whose sandbox is a plain child, and whose every other neighbour is a fake that writes down what it was asked. */
export function stage(t: TestContext, parts: Partial<UpstreamsDeps> = {}): Stage {
  const events: AuditEvent[] = [];
  const children: { spec: ChildSpec; pid: number }[] = [];
  const sessions: EgressSession[] = [];
  const judged: Surface[] = [];
  const held = new Set<string>();
  const services = new Map<string, CompiledMcpService>();
  const lease = { secret: new Secret(STAGED_KEY), version: "1", expiresAt: new Date(8e15), short: false } as Lease;
  const upstreams = createUpstreams({
    packages: { resolve: async ({ command, args }) => ({ command, args, programFiles: [], package: undefined }) },
    pins: {
      async judge(_, surface) {
        judged.push(surface);
        return { accepted: surface, held: [] };
      },
      judgePackage: async () => undefined,
      held: (_, { name }) => (held.has(name) ? problemOf(name) : undefined),
    },
    sandbox: plainSandbox(children),
    egressProxy: {
      async open(session) {
        sessions.push(session);
        return { socket: "/nowhere", caPem: "", close: async () => {} };
      },
    },
    vault: { lease: () => lease },
    writableByOthers: () => [],
    egress: {
      send() {
        throw new Error("nothing goes out in this test");
      },
    },
    authorise: async () => undefined,
    audit: {
      async append(event) {
        events.push(event);
      },
    },
    version: "0.0.0",
    log: () => {},
    now: () => new Date(),
    snapshot: () => ({ services }),
    ...parts,
  });
  t.after(() => upstreams[Symbol.asyncDispose]());
  return { upstreams, events, children, sessions, judged, held, services };
}

function problemOf(name: string): Problem {
  return new Problem("denied", { fields: { rule: `pin:srv:tool:${name}` } });
}

function plainSandbox(children: { spec: ChildSpec; pid: number }[]): Sandbox {
  return {
    async start(spec) {
      const child = spawn(spec.command, spec.args, {
        env: Object.fromEntries(spec.env),
        stdio: ["pipe", "pipe", "pipe"],
        detached: true,
      });
      const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
        child.on("close", (code, signal) => resolve({ code, signal })),
      );
      children.push({ spec, pid: child.pid! });
      return {
        pid: child.pid!,
        stdin: child.stdin,
        stdout: child.stdout,
        stderr: child.stderr,
        exited,
        limits: { memory: "none", processes: "none", cpu: "none" },
        mode: spec.config.mode,
        async stop() {
          child.stdin.destroy();
          try {
            process.kill(-child.pid!, "SIGKILL");
          } catch {
            // It is gone already.
          }
          await exited;
        },
      };
    },
  };
}

/** What came of one call. */
export interface CallOutcome {
  readonly status: number | undefined;
  readonly value: JsonObject | undefined;
  readonly problem: Problem | undefined;
}

/** A call of an agent, as the broker hands it over. */
export function callOf(
  service: CompiledMcpService,
  name: string,
  args: JsonObject = {},
  parts: Partial<UpstreamCall> & { readonly method?: McpMethod } = {},
): UpstreamCall {
  const { method = "tools/call", ...rest } = parts;
  const canonical = canonicaliseMcp(
    { kind: "mcp", method, name, arguments: args, lossy: false },
    { service: service.config.name, requestBytes: 1_048_576 },
  );
  if (!canonical.ok) throw canonical.problem;
  const { timeoutMs, responseBytes } = service.config.limits;
  return {
    requestId: `req_${Math.random()}`,
    principal: principal({ agent: "bot" }),
    service,
    request: canonical.request,
    lease: undefined,
    relay: undefined,
    timeoutMs,
    responseBytes,
    ...rest,
  };
}

/** Sends, and waits for the one end. */
export function sendCall(
  upstreams: Upstreams,
  call: UpstreamCall,
  begun: (exchange: Exchange) => void = () => {},
): Promise<CallOutcome> {
  return new Promise((resolve, reject) => {
    let status: number | undefined;
    let over = false;
    const chunks: Uint8Array[] = [];
    const finish = (outcome: CallOutcome) => {
      if (over) reject(new Error("the sink was ended twice"));
      over = true;
      setImmediate(() => resolve(outcome));
    };
    const exchange = upstreams.send(call, {
      head: (head) => {
        status = head.status;
      },
      data: (chunk) => chunks.push(chunk) > 0,
      end: () =>
        finish({ status, value: JSON.parse(Buffer.concat(chunks).toString()) as JsonObject, problem: undefined }),
      fail: (problem) => finish({ status, value: undefined, problem }),
    });
    begun(exchange);
  });
}

/** The text of a tool's result. */
export function textOf({ value, problem }: CallOutcome): string {
  if (problem !== undefined) throw problem;
  return (value?.["content"] as { text: string }[] | undefined)?.[0]?.text ?? JSON.stringify(value);
}

export interface TestRelay extends Relay {
  readonly told: [string, JsonObject][];
  readonly asked: [string, JsonObject][];
}

/** A client that writes down what it hears, and answers what it is asked. */
export function relayOf(
  parts: Partial<Omit<Relay, "notify" | "request">> = {},
  answer: (method: string, params: JsonObject) => JsonObject | Promise<JsonObject> = () => ({
    action: "accept",
    content: {},
  }),
): TestRelay {
  const told: [string, JsonObject][] = [];
  const asked: [string, JsonObject][] = [];
  return {
    key: "session-1",
    era: "legacy",
    capabilities: {},
    progressToken: undefined,
    meta: {},
    ...parts,
    told,
    asked,
    notify: (method, params) => void told.push([method, params]),
    async request(method, params) {
      asked.push([method, params]);
      return answer(method, params);
    },
  };
}

/** Whether a process is there. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits for what is about to happen. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > 2_000) throw new Error("it did not happen");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
