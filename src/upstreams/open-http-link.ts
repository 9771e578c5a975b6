import type { CompiledMcpService } from "../policy/snapshot.ts";
import { createEgressFetch, type EgressFetchOptions } from "./egress-fetch.ts";
import type { Link, LinkEnding } from "./link.ts";
import { localError } from "./local-error.ts";

/** Farewells to a session's server are not waited for longer than this. */
const FAREWELL_MS = 2_000;
const RECONNECT = {
  initialReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  reconnectionDelayGrowFactor: 2,
  maxRetries: 3,
};

/** What a connection over HTTP needs. */
export type HttpLinkDeps = Pick<EgressFetchOptions, "egress" | "authorise" | "sensitive">;

/** Opens the wire to a server that is reached by its URL. Nothing is sent yet. */
export async function openHttpLink(service: CompiledMcpService, deps: HttpLinkDeps): Promise<Link> {
  const sdk = await import("@modelcontextprotocol/client");
  const { server, private: isPrivate, limits } = service.config;
  if (server.transport !== "http") throw new TypeError("the server is started, not reached");
  const { url } = server;
  const fetch = createEgressFetch({
    ...deps,
    url,
    private: isPrivate,
    ca: service.ca,
    answerBytes: limits.responseBytes,
    brokenOff(message, problem) {
      const id = requestId(message);
      // An answer that came all the same is the one that counts: the second is nobody's.
      if (id !== undefined) transport.onmessage?.(localError(id, problem));
    },
  });
  const endpoint = new URL(url.origin + url.basePath);
  const options = { fetch, requestInit: { redirect: "manual" as const } };
  const transport = server.legacySse
    ? new sdk.SSEClientTransport(endpoint, options)
    : new sdk.StreamableHTTPClientTransport(endpoint, { ...options, reconnectionOptions: RECONNECT });
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let ending: LinkEnding | undefined;
  let closing: Promise<void> | undefined;
  const end = (by: LinkEnding["by"], why: string) => {
    ending ??= { by, why };
    resolve();
  };
  // The SDK chains what stands here already.
  transport.onclose = () => end("peer", "the connection ended");
  return {
    transport,
    facts: { transport: "http", mode: undefined, limits: undefined, package: undefined },
    stderr: () => [],
    ignored: () => ({}),
    closed,
    ending: () => ending,
    close(why) {
      closing ??= (async () => {
        end("us", why);
        if ("terminateSession" in transport) await within(transport.terminateSession(), FAREWELL_MS);
        await transport.close().catch(() => {});
      })();
      return closing;
    },
  };
}

/** @returns `undefined` for what has no answer. */
function requestId(message: string): string | number | undefined {
  const { id, method } = JSON.parse(message) as { id?: unknown; method?: unknown };
  return typeof method === "string" && (typeof id === "string" || typeof id === "number") ? id : undefined;
}

async function within(done: Promise<unknown>, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([done.catch(() => {}), promise]).finally(() => clearTimeout(timer));
}
