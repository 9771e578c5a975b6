import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { makeHome, startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type Double, type Received, replyJson, startDouble } from "../harness/double.testing.ts";
import { exchangeRaw, type RawAnswer, requestBytes } from "../laws/raw-http.testing.ts";
import { callTool, type EvidenceLine, readEvidence, type ToolAnswer } from "../laws/stage.testing.ts";

/** What the double knows as its own key. */
export const SHOP_KEY = "shop_live_2b7e151628aed2a6";

/** A refusal or an answer, with what the contract says about it at hand. */
export interface Answer extends RawAnswer {
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: documents of the wire, judged field by field.
  readonly json: any;
}

export interface CallOptions {
  readonly method?: string;
  /** The agent whose key is sent; `null` sends none. */
  readonly as?: string | null;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
  readonly host?: string;
}

/** A daemon with its double, and short ways to ask both. */
export interface ContractStage extends AsyncDisposable {
  readonly home: TestHome;
  readonly daemon: TestDaemon;
  readonly double: Double;
  /** Calls `/api/…`, or any other path that begins with `/`. */
  call(path: string, options?: CallOptions): Promise<Answer>;
  tool(agent: string, name: string, args?: object): Promise<ToolAnswer>;
  /** The events of one call, in order. */
  eventsOf(requestId: string): readonly EvidenceLine[];
  evidence(): readonly EvidenceLine[];
}

/**
 * Starts a home, its daemon and an API double.
 *
 * @param config - doorward.yaml, with `UPSTREAM` where the double's address belongs.
 */
export async function startContract(
  config: string,
  options: {
    readonly agents: readonly string[];
    readonly secrets?: Readonly<Record<string, string>>;
    readonly serve?: readonly string[];
  },
): Promise<ContractStage> {
  await using stack = new AsyncDisposableStack();
  const double: Double = await startDouble((request, response) => shop(request, response, double.url));
  stack.use(double);
  const home = await makeHome({
    config: config.replaceAll("UPSTREAM", double.url),
    secrets: { shop: SHOP_KEY, ...options.secrets },
    agents: options.agents,
  });
  stack.use(home);
  const daemon = await startDaemon(home, options.serve ?? []);
  stack.use(daemon);
  const keys = new Map(options.agents.map((agent) => [agent, home.key(agent)]));
  const keyOf = (agent: string) => keys.get(agent) ?? assert.fail(`no key for ${agent}`);
  const first = options.agents[0] ?? "";
  const owned = stack.move();
  return {
    home,
    daemon,
    double,
    async call(path, { method = "GET", as = first, headers = [], body, host = "127.0.0.1" } = {}) {
      const token: (readonly [string, string])[] = as === null ? [] : [["Authorization", `Bearer ${keyOf(as)}`]];
      const bytes = requestBytes({ method, target: path, headers: [...token, ...headers], body, host });
      return readable(await exchangeRaw(daemon.url, bytes));
    },
    tool: (agent, name, args = {}) => callTool(daemon.url, keyOf(agent), name, args),
    eventsOf: (requestId) => readEvidence(home.home).filter(({ request_id }) => request_id === requestId),
    evidence: () => readEvidence(home.home),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export function readable(answer: RawAnswer | undefined): Answer {
  assert.ok(answer !== undefined, "the connection ended without an answer");
  const text = answer.body.toString("utf8");
  const isJson = answer.headers.get("content-type")?.includes("json") === true && text !== "";
  return { ...answer, text, json: isJson ? JSON.parse(text) : undefined };
}

/** Asserts the contract's problem document, and the headers that every refusal has. */
export function isProblem(answer: Answer, status: number, code: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(answer.json.code, code);
  assert.equal(answer.json.status, status);
  for (const field of ["type", "title", "detail", "remedy", "request_id"]) {
    assert.equal(typeof answer.json[field], "string", `${field} of ${answer.text}`);
    assert.notEqual(answer.json[field], "");
  }
  assert.equal(answer.headers.get("doorward-request-id"), answer.json.request_id);
}

function shop(request: Received, response: ServerResponse, own: string): unknown {
  const url = new URL(request.url, own);
  const status = Number(/\/status\/(\d+)$/.exec(url.pathname)?.[1] ?? 0);
  if (status === 204 || status === 304) return response.writeHead(status, { etag: '"v1"' }).end();
  if (status !== 0) return replyJson(response, status, { status });
  switch (url.pathname) {
    case "/v1/redirect":
      return response.writeHead(302, { location: url.searchParams.get("to") ?? "/" }).end();
    case "/v1/headers":
      return replyJson(response, 200, { ok: true }, ANSWER_HEADERS);
    case "/v1/big":
      return response
        .writeHead(200, { "content-type": "text/plain" })
        .end("x".repeat(Number(url.searchParams.get("bytes"))));
    case "/v1/bytes":
      return response.writeHead(200, { "content-type": "application/octet-stream" }).end(Buffer.from([0, 255, 254, 1]));
    case "/v1/never":
      return undefined;
    case "/v1/trickle":
      response.writeHead(200, { "content-type": "text/event-stream" });
      return response.write("data: one\n\n");
    case "/v1/late-key":
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: one\n\n");
      return setTimeout(() => response.end(`data: ${SHOP_KEY}\n\n`), 30);
    default:
      return replyJson(response, 200, {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.toString("utf8"),
        total: 3,
      });
  }
}

/** What the double says of `/v1/headers`: some of it is on the contract's list, some is not. */
export const ANSWER_HEADERS = {
  "cache-control": "max-age=1",
  etag: '"e"',
  link: "</v1/items?page=2>; rel=next",
  "x-ratelimit-remaining": "9",
  "x-request-id": "up-1",
  "retry-after": "3",
  "last-modified": "Sat, 21 Nov 2026 00:00:00 GMT",
  "set-cookie": "a=b",
  server: "double",
  "x-powered-by": "double",
  "access-control-allow-origin": "*",
};
