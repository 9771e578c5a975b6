import type { JsonObject } from "../base/json.ts";
import type { Problem } from "../base/problem.ts";
import { createTurns } from "../base/turns.ts";
import { stageBroker } from "../broker/broker.testing.ts";
import { createByteBudget } from "../broker/byte-budget.ts";
import { createBroker } from "../broker/create-broker.ts";
import type { Relay, UpstreamCall } from "../broker/upstream-call.ts";
import type { McpServiceConfig, OperationConfig } from "../config/schema.ts";
import { agent, mcpService, NOON, operation, principal, role, service, snapshotOf } from "../policy/policy.testing.ts";
import { createSilentServers } from "../upstreams/silent-servers.ts";
import type { Surface } from "../upstreams/surface.ts";
import type { Upstreams } from "../upstreams/upstreams.ts";
import { createKeyring } from "../vault/keyring.ts";
import type { ClientSession } from "./client-session.ts";
import { createMcpDoor } from "./create-mcp-door.ts";
import type { DispatchContext } from "./dispatch.ts";
import type { FaceDeps } from "./face.ts";
import { createRequestStates } from "./request-state.ts";
import { structured } from "./tool.ts";

const SERVER = { name: "doorward", version: "1" };

/** A tool's definition. */
export function toolOf(name: string, parts: JsonObject = {}): JsonObject {
  return { name, description: `does ${name}`, inputSchema: { type: "object" }, ...parts };
}

export function surfaceOf(parts: Partial<Surface>): Surface {
  return {
    tools: [],
    prompts: [],
    resources: [],
    resourceTemplates: [],
    instructions: undefined,
    capabilities: { tools: {} },
    digest: "d",
    ...parts,
  };
}

/** Servers that really run beside the scripted ones; their names begin with `real-`. */
export interface StagedServers {
  readonly upstreams: Upstreams;
  readonly services: readonly McpServiceConfig[];
}

function isReal(service: string): boolean {
  return service.startsWith("real-");
}

/** How a scripted server answers a call: a result, or by hand. */
export type Script = (call: UpstreamCall) => Promise<JsonObject> | JsonObject;

/** `bot` may call the `get_*` tools, prompts and resources of `repo` and all of `other`; of `secret` it knows nothing. */
export const STAGED_OPERATIONS: readonly OperationConfig[] = [
  operation("read", { allow: [], tools: ["get_*"], prompts: ["*"], resources: ["repo://*"] }),
  operation("write", { allow: [], effect: "write", tools: ["set_*"] }),
];

/**
 * The face over scripted servers, with the real broker, rules and Doorward core around it.
 *
 * `surfaces` may be changed by the test; a `Problem` in it is thrown.
 */
export function stageFace(
  script: Script = () => ({ content: [{ type: "text", text: "done" }] }),
  servers?: StagedServers,
) {
  const surfaces = new Map<string, Surface | Problem | Promise<Surface>>([
    [
      "repo",
      surfaceOf({
        tools: [toolOf("get_issue"), toolOf("set_issue"), toolOf("get_weird name")],
        prompts: [{ name: "summary" }],
        resources: [{ uri: "repo://a", name: "a" }],
        resourceTemplates: [{ uriTemplate: "repo://{path}", name: "t" }],
        capabilities: { tools: {}, prompts: {}, resources: { subscribe: true }, tasks: {} },
        instructions: "of repo",
      }),
    ],
    ["other", surfaceOf({ tools: [toolOf("get_issue")] })],
    ["secret", surfaceOf({ tools: [toolOf("get_hidden")] })],
  ]);
  const calls: UpstreamCall[] = [];
  const listening: { readonly service: string; readonly relay: Relay; ended: boolean }[] = [];
  const endedKeys: string[] = [];
  const rules = {
    services: [
      ...(servers?.services ?? []),
      mcpService("repo", STAGED_OPERATIONS),
      mcpService("other", [operation("all", { allow: [], tools: ["*"] })]),
      mcpService("secret", [operation("all", { allow: [], tools: ["*"] })]),
      service("api", [operation("zones")]),
    ],
    roles: [role("reader", ["repo:read", "other:*", "api:*", "real-*:*"]), role("none", ["api:*"])],
    agents: [agent("bot", ["reader"]), agent("poor", ["none"])],
  };
  const staged = stageBroker(rules);
  const snapshot = snapshotOf(rules);
  const broker = createBroker({
    ...staged.deps,
    upstreams: {
      send(call, sink) {
        if (isReal(call.service.config.name)) {
          calls.push(call);
          return servers!.upstreams.send(call, sink);
        }
        let over = false;
        const finish = (end: () => void) => {
          if (over) return;
          over = true;
          end();
        };
        const run = async () => {
          const fault = await toolFault(surfaces, call);
          if (fault !== undefined) return { error: fault };
          calls.push(call);
          return script(call);
        };
        run().then(
          (result) =>
            finish(() => {
              sink.head({ status: result["error"] === undefined ? 200 : 400, headers: [] });
              sink.data(Buffer.from(JSON.stringify(result)));
              sink.end();
            }),
          (problem: Problem) => finish(() => sink.fail(problem)),
        );
        return { redacted: 0, resume() {}, abort: (problem) => finish(() => sink.fail(problem)) };
      },
    },
  });
  const deps: FaceDeps = {
    server: SERVER,
    snapshot: () => snapshot,
    now: () => NOON,
    broker,
    budget: createByteBudget(1_000_000),
    turns: createTurns(),
    states: createRequestStates(createKeyring({ homeId: "h", homeKey: Buffer.alloc(32, 1) })),
    upstreams: {
      silent: createSilentServers(),
      async surface(service, principal, relay) {
        const { name } = service.config;
        if (isReal(name)) return servers!.upstreams.surface(service, principal, relay);
        const found = await surfaces.get(name)!;
        if (found instanceof Error) throw found;
        return found;
      },
      listen(service, relay) {
        if (isReal(service)) return servers!.upstreams.listen(service, relay);
        const listener = { service, relay, ended: false };
        listening.push(listener);
        return () => {
          listener.ended = true;
        };
      },
      endSession(key) {
        endedKeys.push(key);
        servers?.upstreams.endSession(key);
      },
    },
    fault: (error) => {
      throw error;
    },
  };
  const own = {
    definition: { name: "doorward_own", title: "own", description: "own", inputSchema: { type: "object" } },
    run: () => structured({ own: true }),
  };
  const { dispatch, subscriptions, serves } = createMcpDoor({ ...deps, tools: [own] });
  const ask = async (method: string, params: JsonObject = {}, context: Partial<DispatchContext> = {}) =>
    (await dispatch(
      { kind: "request", id: 7, method, params },
      {
        era: "modern",
        principal: principal(),
        requestId: "req_1",
        signal: undefined,
        lossy: false,
        whenSent: () => {},
        ...context,
      },
    )) as JsonObject;
  return { ask, dispatch, serves, calls, surfaces, listening, endedKeys, subscriptions, events: staged.events, deps };
}

/** As the real upstreams do: the call's side looks at the tool's definition before the server hears of the call. */
async function toolFault(
  surfaces: ReadonlyMap<string, Surface | Problem | Promise<Surface>>,
  { service, request, relay }: UpstreamCall,
) {
  const surface = await surfaces.get(service.config.name);
  if (surface === undefined || surface instanceof Error) return undefined;
  const definition = surface.tools.find(({ name }) => name === request.mcp?.name);
  return definition === undefined ? undefined : relay?.toolFault?.(definition);
}

/** A client with a session whose pushed messages are kept. */
export function stageSession(parts: Partial<ClientSession> = {}) {
  const pushed: JsonObject[] = [];
  const session: ClientSession = {
    id: "ses_1",
    scope: undefined,
    capabilities: {},
    logLevel: undefined,
    push: (message) => void pushed.push(JSON.parse(message)),
    pending: undefined,
    listening: undefined,
    ...parts,
  };
  return { session, pushed };
}
