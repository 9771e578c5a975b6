import type { Client, StandardSchemaV1 } from "@modelcontextprotocol/client";
import { asObject, isObject, type JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Link } from "./link.ts";
import { rpcProblem, SESSION_GONE, UpstreamRpcError } from "./rpc-problem.ts";

/** An MCP conversation with one upstream server, after its handshake. */
export interface Connection {
  readonly link: Link;
  readonly era: "modern" | "legacy";
  readonly revision: string;
  readonly server: { readonly name: string; readonly version: string } | undefined;
  readonly instructions: string | undefined;
  readonly capabilities: JsonObject;
  /**
   * Sends a request, once.
   *
   * @returns The result as the server gave it, or `{resultType: "input_required", …}`.
   * @throws {Problem} or {@link UpstreamRpcError}, which the server answered with.
   */
  request(method: string, params: JsonObject, options?: RequestOptions): Promise<JsonObject>;
  /** Asks a modern server for notifications; replaces what was asked before. Older ones send them unasked. Never rejects. */
  listen(resources: readonly string[]): Promise<void>;
}

export interface RequestOptions {
  /** Ends the request; the server is told. */
  readonly signal?: AbortSignal;
  readonly headers?: Record<string, string>;
  readonly onprogress?: ((progress: JsonObject) => void) | undefined;
}

/** What a server sends on its own. */
export interface ConnectionHandlers {
  notification(method: string, params: JsonObject): void;
  /** A request of the server to its client. Rejects with `{code, message}`, which the server then gets. */
  ask(method: string, params: JsonObject, signal: AbortSignal): Promise<JsonObject>;
  /** What to say instead of "it cannot be reached" when the server has ended. */
  ended(): Problem | undefined;
}

export interface HandshakeOptions {
  readonly version: string;
  readonly capabilities: JsonObject;
  /** `legacy`: do not ask which revision it speaks. Some servers exit when they are asked. */
  readonly era: "ask" | "legacy";
  readonly timeoutMs: number;
}

/** How long a server may leave the question for its revision unanswered until it counts as an older one. */
const PROBE_MS = 10_000;
/** Calls have deadlines of their own; the SDK wants one. */
const NO_TIMEOUT_MS = 24 * 60 * 60_000;
/** Requests of a server to its client that wait at once. */
const ASKS_MAX = 8;
const RELISTEN_MS = 5_000;

/** Takes what comes: results are looked at by whoever asked. */
const ANY_OBJECT: StandardSchemaV1<unknown, JsonObject> = {
  "~standard": { version: 1, vendor: "doorward", validate: (value) => ({ value: value as JsonObject }) },
};

/**
 * Does the handshake over a link, in whichever revision the server speaks.
 *
 * @throws {Problem} `upstream_unreachable`, `upstream_timeout`, `upstream_invalid`; the link is closed then.
 */
export async function connect(
  link: Link,
  options: HandshakeOptions,
  handlers: ConnectionHandlers,
): Promise<Connection> {
  const sdk = await import("@modelcontextprotocol/client");
  const client = new sdk.Client(
    { name: "doorward", version: options.version },
    {
      capabilities: options.capabilities,
      ...(options.era === "ask" ? { versionNegotiation: { mode: "auto", probe: { timeoutMs: PROBE_MS } } } : {}),
      inputRequired: { autoFulfill: false },
    },
  );
  client.onerror = () => {};
  let asking = 0;
  client.fallbackRequestHandler = async (request, { mcpReq }) => {
    if (asking >= ASKS_MAX) throw Object.assign(new Error("too many requests at once"), { code: -32_603 });
    asking += 1;
    try {
      return (await handlers.ask(request.method, asObject(request.params), mcpReq.signal)) as {
        [key: string]: unknown;
      };
    } finally {
      asking -= 1;
    }
  };
  client.fallbackNotificationHandler = async ({ method, params }) => handlers.notification(method, asObject(params));
  try {
    await client.connect(link.transport, { timeout: options.timeoutMs });
  } catch (error) {
    const problem = betterWords(rpcProblem(error), handlers);
    await link.close("the handshake failed");
    throw problem;
  }
  return describe(client, link, handlers);
}

/** A handshake that is answered with an error is a failure of the server's, not an answer. */
function betterWords(problem: Problem | UpstreamRpcError, handlers: ConnectionHandlers): Problem {
  const ended = handlers.ended();
  if (ended !== undefined && problem.code !== "upstream_timeout" && problem.code !== "upstream_too_large") return ended;
  if (problem instanceof UpstreamRpcError) {
    return new Problem("upstream_invalid", {
      detail: "the server refuses the handshake",
      reason: String(problem.code),
    });
  }
  return problem;
}

function describe(client: Client, link: Link, handlers: ConnectionHandlers): Connection {
  const capabilities = asObject(client.getServerCapabilities());
  const era = client.getProtocolEra() ?? "legacy";
  const relisten = createListener(client, capabilities, link);
  const info = client.getServerVersion();
  return {
    link,
    era,
    revision: client.getNegotiatedProtocolVersion() ?? "unknown",
    server: info === undefined ? undefined : { name: String(info.name), version: String(info.version) },
    instructions: client.getInstructions(),
    capabilities,
    async request(method, params, { signal, headers, onprogress } = {}) {
      try {
        const result = await client.request({ method, params: params as { [key: string]: unknown } }, ANY_OBJECT, {
          timeout: NO_TIMEOUT_MS,
          allowInputRequired: true,
          ...(signal === undefined ? {} : { signal }),
          ...(headers === undefined ? {} : { headers }),
          ...(onprogress === undefined ? {} : { onprogress: (progress) => onprogress(asObject(progress)) }),
        });
        if (!isObject(result)) throw new Problem("upstream_invalid", { detail: "the server's result is no object" });
        return result;
      } catch (error) {
        const problem = rpcProblem(error);
        // Nothing is repeated by itself; the next call finds a new session.
        if (era === "legacy" && problem instanceof Problem && problem.reason === SESSION_GONE) {
          void link.close("the server has forgotten the session");
        }
        throw problem instanceof UpstreamRpcError ? problem : betterWords(problem, handlers);
      }
    },
    listen: era === "modern" ? relisten : async () => {},
  };
}

/** Keeps one stream of notifications open to a modern server, as long as the link is. */
function createListener(client: Client, capabilities: JsonObject, link: Link) {
  let current: { close(): Promise<void> } | undefined;
  let generation = 0;
  let over = false;
  void link.closed.then(() => {
    over = true;
  });
  const can = (list: string) => asObject(capabilities[list])["listChanged"] === true;
  const listen = async (resources: readonly string[]): Promise<void> => {
    generation += 1;
    const mine = generation;
    const filter = {
      ...(can("tools") ? { toolsListChanged: true } : {}),
      ...(can("prompts") ? { promptsListChanged: true } : {}),
      ...(can("resources") ? { resourcesListChanged: true } : {}),
      ...(resources.length > 0 ? { resourceSubscriptions: [...resources] } : {}),
    };
    await current?.close().catch(() => {});
    current = undefined;
    if (over || Object.keys(filter).length === 0) return;
    try {
      const opened = await client.listen(filter, { timeout: PROBE_MS });
      if (mine !== generation) return void (await opened.close().catch(() => {}));
      current = opened;
      void opened.closed.then((why) => {
        if (why === "local" || over || mine !== generation) return;
        setTimeout(() => void (mine === generation && !over && listen(resources)), RELISTEN_MS).unref();
      });
    } catch {
      // A server that does not offer it has nothing to say on its own.
    }
  };
  return listen;
}
