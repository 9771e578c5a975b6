import { Pool } from "undici";
import { Problem } from "../base/problem.ts";
import type { AnswerSink, Exchange } from "./answer.ts";
import { ACCEPT_ENCODING } from "./decode-body.ts";
import { UpstreamExchange } from "./exchange.ts";
import type { OutboundRequest, OutboundTarget } from "./outbound-request.ts";
import { type ConnectOptions, createPinnedConnector } from "./pinned-connect.ts";
import { systemResolve } from "./resolve-pinned.ts";
import { createScrubTurns } from "./scrub-turns.ts";

const HEADER_BYTES_MAX = 64 * 1024;
const CONNECTIONS_PER_TARGET_MAX = 256;
const CALLS_PER_TARGET_MAX = 4_096;
const TARGETS_MAX = 1_024;
const KEEP_ALIVE_MS = 4_000;
const KEEP_ALIVE_MAX_MS = 60_000;
const SWEEP_MS = 30_000;
/** Sweeps that a target's connections survive without a call. */
const IDLE_SWEEPS = 2;

/** Headers that are Doorward's own on every request; canonicalisation has taken the agent's out already. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "host",
  "user-agent",
  "accept-encoding",
  "content-length",
  "connection",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
]);

export interface EgressOptions extends Partial<ConnectOptions> {
  /** `doorward/<version>`: the only thing that upstreams learn about us. */
  readonly userAgent: string;
}

/** The one way out. */
export interface Egress extends AsyncDisposable {
  /**
   * Sends one request, at most once: nothing is repeated, also where HTTP would allow it, and no redirect is followed.
   *
   * @param sink - Told of everything, failures too; never before `send` has returned.
   */
  send(request: OutboundRequest, sink: AnswerSink): Exchange;
  /** Cuts every connection; calls under way fail. Drain before, where that matters. */
  [Symbol.asyncDispose](): Promise<void>;
}

interface Target {
  readonly pool: Pool;
  calls: number;
  idleSweeps: number;
}

/** Opens the way out. Its connections are shared by all calls to equal targets, and closed when idle. */
export function createEgress(options: EgressOptions): Egress {
  const targets = new Map<string, Target>();
  const turns = createScrubTurns();
  const connectOptions: ConnectOptions = { ...options, resolve: options.resolve ?? systemResolve };
  let closed = false;
  const sweep = setInterval(() => closeIdle(targets), SWEEP_MS).unref();

  return {
    send: (request, sink) => {
      if (closed) return refuse(request, sink, new Problem("upstream_unreachable", { detail: "Doorward is stopping" }));
      if (!mayGoTo(request.target)) return refuse(request, sink, plainAndPublic());
      const target = findTarget(targets, request.target, connectOptions);
      if (target === undefined) return refuse(request, sink, crowded());
      target.calls += 1;
      target.idleSweeps = 0;
      const onOver = () => {
        target.calls -= 1;
      };
      const exchange = new UpstreamExchange(request, sink, { turns, onOver });
      dispatch(target.pool, request, exchange, options.userAgent);
      exchange.launched();
      return exchange;
    },
    [Symbol.asyncDispose]: async () => {
      closed = true;
      clearInterval(sweep);
      await Promise.all([...targets.values()].map(({ pool }) => pool.destroy()));
      targets.clear();
    },
  };
}

function dispatch(pool: Pool, request: OutboundRequest, exchange: UpstreamExchange, userAgent: string): void {
  if (!request.path.startsWith("/")) {
    exchange.abort(new Problem("invalid_request", { reason: "a path without `/` reached egress" }));
    return;
  }
  const headers = ["user-agent", userAgent];
  let encoding = ACCEPT_ENCODING;
  for (const [name, value] of request.headers) {
    if (OWN_HEADERS.has(name.toLowerCase())) {
      exchange.abort(new Problem("internal_error", { reason: `header ${name} reached egress` }));
      return;
    }
    // A part of an encoded body cannot be decoded.
    if (name === "range") encoding = "identity";
    headers.push(name, value);
  }
  headers.push("accept-encoding", encoding);
  pool.dispatch(
    {
      method: request.method,
      path: request.path,
      headers,
      body: request.body ?? null,
      idempotent: false,
    },
    exchange,
  );
}

/** Keys by target: most calls bring one that a call brought before, and certificates make long keys. */
const targetKeys = new WeakMap<OutboundTarget, string>();

function targetKey(target: OutboundTarget): string {
  let key = targetKeys.get(target);
  if (key === undefined) {
    key = `${target.private ? "private" : "public"} ${target.origin} ${target.ca ?? ""}`;
    targetKeys.set(target, key);
  }
  return key;
}

/** @returns `undefined` when there are too many calls or targets already. */
function findTarget(targets: Map<string, Target>, wanted: OutboundTarget, options: ConnectOptions): Target | undefined {
  const key = targetKey(wanted);
  const found = targets.get(key);
  if (found !== undefined) return found.calls < CALLS_PER_TARGET_MAX ? found : undefined;
  if (targets.size >= TARGETS_MAX) closeIdle(targets, 0);
  if (targets.size >= TARGETS_MAX) return undefined;
  const made = { pool: createPool(wanted, options), calls: 0, idleSweeps: 0 };
  targets.set(key, made);
  return made;
}

/** One request at a time on a connection: a pipelined one would be sent again when the one before it fails. */
function createPool(target: OutboundTarget, options: ConnectOptions): Pool {
  return new Pool(target.origin, {
    connect: createPinnedConnector(target, options),
    connections: CONNECTIONS_PER_TARGET_MAX,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: HEADER_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    // The deadline of each call covers both; undici's would start anew with every byte.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

function closeIdle(targets: Map<string, Target>, sweeps = IDLE_SWEEPS): void {
  for (const [key, target] of targets) {
    if (target.calls > 0) continue;
    target.idleSweeps += 1;
    if (target.idleSweeps <= sweeps) continue;
    targets.delete(key);
    void target.pool.close();
  }
}

/** Plain HTTP is for private services; the config says so too, and a credential is worth saying it twice. */
function mayGoTo(target: OutboundTarget): boolean {
  return target.origin.startsWith("https://") || (target.private && target.origin.startsWith("http://"));
}

function plainAndPublic(): Problem {
  return new Problem("upstream_forbidden_address", { reason: "plain HTTP to a service that is not private" });
}

function crowded(): Problem {
  const detail = "too many calls to this service are under way";
  return new Problem("upstream_unreachable", { detail, fields: { retry_after: 1 } });
}

function refuse(request: OutboundRequest, sink: AnswerSink, problem: Problem): Exchange {
  const exchange = new UpstreamExchange(request, sink, { turns: createScrubTurns(), onOver: () => {} });
  exchange.abort(problem);
  return exchange;
}
