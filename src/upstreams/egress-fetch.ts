import { Problem } from "../base/problem.ts";
import type { HttpCredentialConfig, ServiceUrl } from "../config/schema.ts";
import { inject } from "../credentials/inject.ts";
import { createScrubber, type Scrubber } from "../credentials/scrubber.ts";
import type { AnswerHead, AnswerSink, Exchange } from "../egress/answer.ts";
import type { OutboundRequest } from "../egress/outbound-request.ts";
import type { Lease } from "../vault/create-vault.ts";

/** A credential as it is put on one request. */
export interface LeasedCredential {
  readonly credential: HttpCredentialConfig;
  readonly lease: Lease;
  /** Told that the server did not take it: the next one asked for is another. Absent where there is no other. */
  readonly refused?: () => void;
}

/** Where the requests of one connection go, and with what. */
export interface EgressFetchOptions {
  readonly egress: { send(request: OutboundRequest, sink: AnswerSink): Exchange };
  /** Requests cannot leave its origin. */
  readonly url: ServiceUrl;
  readonly private: boolean;
  readonly ca: string | undefined;
  /** Asked for each request, at the last moment. */
  readonly authorise: () => Promise<LeasedCredential | undefined>;
  /** Told of the scrubber of each credential that goes out. */
  readonly sensitive: (scrubber: Scrubber) => void;
  /** Of an answer that is no event stream, and of one event. */
  readonly answerBytes: number;
  /** Told when the answer to a message broke off, or ended without being resumable: what it should have answered may wait. */
  readonly brokenOff: (message: string, problem: Problem) => void;
}

/** A request may wait this long for its answer's last byte; calls have their own, shorter deadlines. */
const EXCHANGE_MS = 60 * 60_000;
/** A newer server's stream of notifications is the answer to this. */
const LISTENS = /"method":"subscriptions\/listen"/;
/** Streams that a server keeps open for its notifications are renewed after this long. */
const STREAM_MS = 6 * 60 * 60_000;
/** A stream that gave this much is renewed. */
const STREAM_BYTES = 1024 * 1024 * 1024;
const UNAUTHORIZED = 401;
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);
/** Of the answer's headers, those that MCP needs and that never pass to an agent. */
const ANSWER_HEADERS: ReadonlySet<string> = new Set(["mcp-session-id", "www-authenticate"]);
/** Egress's own. */
const NOT_SENT: ReadonlySet<string> = new Set([
  "host",
  "user-agent",
  "accept-encoding",
  "content-length",
  "connection",
]);

/** A scrubber is compiled once per lease: a rotated secret has another lease. */
const scrubbers = new WeakMap<Lease, Scrubber>();

/**
 * The `fetch` of an MCP connection: through the one way out, to one origin, the credential put on at the last moment,
 * the answer scrubbed as it streams. No redirect is followed.
 *
 * @returns Rejects with the {@link Problem} that egress gives.
 */
export function createEgressFetch(
  options: EgressFetchOptions,
): (url: string | URL, init?: RequestInit) => Promise<Response> {
  return async (url, init = {}) => {
    const target = new URL(url);
    if (target.origin !== options.url.origin) {
      throw new Problem("upstream_forbidden_address", { detail: "the server names an endpoint at another origin" });
    }
    if (init.body !== undefined && init.body !== null && typeof init.body !== "string") {
      throw new Problem("internal_error", { reason: "the body of an MCP request is no text" });
    }
    const leased = await options.authorise();
    const signal = init.signal ?? undefined;
    signal?.throwIfAborted();
    let repeated = false;
    const brokenOff: EgressFetchOptions["brokenOff"] = (...what) => {
      if (!repeated) options.brokenOff(...what);
    };
    const answer = await send({ ...options, brokenOff }, outbound(options, target, init, leased), signal);
    if (answer.status !== UNAUTHORIZED || leased?.refused === undefined) return answer;
    // A token may be taken back before its time; what was refused with it was not carried out.
    repeated = true;
    leased.refused();
    await answer.body?.cancel();
    const renewed = await options.authorise();
    signal?.throwIfAborted();
    return send(options, outbound(options, target, init, renewed), signal);
  };
}

function outbound(
  options: EgressFetchOptions,
  target: URL,
  init: RequestInit,
  leased: LeasedCredential | undefined,
): OutboundRequest {
  const headers = [...new Headers(init.headers)].filter(([name]) => !NOT_SENT.has(name));
  const plain = { headers, search: target.search };
  const injected = leased === undefined ? plain : inject(leased.credential, leased.lease.secret, plain);
  let scrubber = leased === undefined ? undefined : scrubbers.get(leased.lease);
  if (leased !== undefined && scrubber === undefined && "sensitive" in injected) {
    scrubber = createScrubber(injected.sensitive);
    scrubbers.set(leased.lease, scrubber);
  }
  if (scrubber !== undefined) options.sensitive(scrubber);
  const method = init.method ?? "GET";
  const isStream = method === "GET" || (typeof init.body === "string" && LISTENS.test(init.body));
  return {
    target: { origin: options.url.origin, private: options.private, ca: options.ca },
    method,
    path: target.pathname + injected.search,
    headers: injected.headers,
    body: typeof init.body === "string" ? Buffer.from(init.body, "utf8") : undefined,
    timeoutMs: isStream ? STREAM_MS : EXCHANGE_MS,
    responseBytes: isStream ? STREAM_BYTES : options.answerBytes,
    overLimit: "refuse",
    scrubber,
    rangesAllowed: false,
    basePath: "",
    publicBase: "",
    passing: ANSWER_HEADERS,
  };
}

function send(
  options: EgressFetchOptions,
  request: OutboundRequest,
  signal: AbortSignal | undefined,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    let body: ReadableStreamDefaultController<Uint8Array> | undefined;
    const abort = () => exchange.abort(new Problem("upstream_unreachable", { detail: "the request was given up" }));
    const over = () => signal?.removeEventListener("abort", abort);
    const guard = createEventGuard(options.answerBytes);
    let resumable = false;
    // After the readers of what came had their turn.
    const brokenOff = (problem: Problem) => {
      if (request.body !== undefined && signal?.aborted !== true) {
        setImmediate(() => options.brokenOff(Buffer.from(request.body!).toString("utf8"), problem));
      }
    };
    const exchange = options.egress.send(request, {
      head(head) {
        const stream = new ReadableStream<Uint8Array>({
          start: (controller) => {
            body = controller;
          },
          pull: () => exchange.resume(),
          cancel: abort,
        });
        resolve(toResponse(head, stream));
      },
      data(chunk) {
        if (!guard(chunk)) {
          exchange.abort(new Problem("upstream_too_large"));
          return false;
        }
        resumable ||= hasEventId(chunk);
        body?.enqueue(chunk);
        return (body?.desiredSize ?? 1) > 0;
      },
      end() {
        over();
        body?.close();
        if (!resumable) brokenOff(new Problem("upstream_invalid", { detail: "the answer ended without a result" }));
      },
      fail(problem) {
        over();
        if (body === undefined) return reject(problem);
        body.error(problem);
        brokenOff(problem);
      },
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}

function toResponse(head: AnswerHead, stream: ReadableStream<Uint8Array>): Response {
  const headers = new Headers();
  for (const [name, value] of head.headers) headers.append(name, value);
  return new Response(NO_BODY.has(head.status) ? null : stream, { status: head.status, headers });
}

/** Whoever reads events keeps one until its blank line comes: that must not be never. */
function createEventGuard(eventBytes: number): (chunk: Uint8Array) => boolean {
  let since = 0;
  let blank = false;
  return (chunk) => {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      since += 1;
      if (byte === 0x0a) {
        if (blank) since = 0;
        blank = true;
      } else if (byte !== 0x0d) blank = false;
    }
    return since <= eventBytes;
  };
}

/** Events with ids can be asked for again; who reads them does so by itself. */
function hasEventId(chunk: Uint8Array): boolean {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return bytes.subarray(0, 3).toString("latin1") === "id:" || bytes.includes("\nid:") || bytes.includes("\rid:");
}
