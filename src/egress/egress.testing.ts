import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Problem } from "../base/problem.ts";
import type { AnswerHead, Exchange } from "./answer.ts";
import { createEgress, type Egress, type EgressOptions } from "./egress.ts";
import type { AnswerScrubber, OutboundRequest } from "./outbound-request.ts";

/** Everything that came out of one call. */
export interface Outcome {
  readonly head: AnswerHead | undefined;
  readonly body: Buffer;
  readonly chunks: readonly Uint8Array[];
  readonly problem: Problem | undefined;
  readonly exchange: Exchange;
}

/** A way out that lives as long as the test. */
export function testEgress(t: TestContext, options: Partial<EgressOptions> = {}): Egress {
  const egress = createEgress({ userAgent: "doorward/test", ...options });
  t.after(() => egress[Symbol.asyncDispose]());
  return egress;
}

/** A GET to a private service on loopback; override what the test is about. */
export function requestTo(origin: string, parts: Partial<OutboundRequest> = {}): OutboundRequest {
  return {
    target: { origin, private: true, ca: undefined },
    method: "GET",
    path: "/v1/things?a=1",
    headers: [],
    body: undefined,
    timeoutMs: 10_000,
    responseBytes: 1024 * 1024,
    overLimit: "refuse",
    scrubber: undefined,
    rangesAllowed: false,
    basePath: "/v1",
    publicBase: "/api/things",
    ...parts,
  };
}

/** What a test does when the sink is called. */
interface Hooks {
  head?(head: AnswerHead, exchange: Exchange): void;
  data?(chunk: Uint8Array, exchange: Exchange): boolean;
}

/** Sends, and waits for the one `end` or `fail`; a second one throws. */
export function run(egress: Egress, request: OutboundRequest, hooks: Hooks = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let head: AnswerHead | undefined;
    let over = false;
    let returned = false;
    const chunks: Uint8Array[] = [];
    const finish = (problem: Problem | undefined) => {
      if (over) reject(new Error("the sink was ended twice"));
      if (!returned) reject(new Error("the sink was called before send returned"));
      over = true;
      // A turn of the loop later, so that a call after the end would be seen.
      setImmediate(() => resolve({ head, body: Buffer.concat(chunks), chunks, problem, exchange }));
    };
    const exchange = egress.send(request, {
      head(given) {
        if (over || head !== undefined) reject(new Error("head after the end, or twice"));
        head = given;
        hooks.head?.(given, exchange);
      },
      data(chunk) {
        if (over || head === undefined) reject(new Error("data without a head, or after the end"));
        chunks.push(chunk);
        return hooks.data?.(chunk, exchange) ?? true;
      },
      end: () => finish(undefined),
      fail: finish,
    });
    returned = true;
  });
}

/** What a raw upstream sees of one connection. */
export interface RawConnection {
  readonly socket: Socket;
  /** Requests on this connection so far, this one included. */
  readonly count: number;
  /** All connections' requests so far. */
  readonly total: number;
  readonly request: string;
}

/** An upstream that writes bytes as it likes. `respond` is called for each request head (and body, if in the same read). */
export async function rawUpstream(
  t: TestContext,
  respond: (connection: RawConnection) => void,
): Promise<{ origin: string; server: Server; requests: string[]; sockets: Socket[] }> {
  const requests: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    let count = 0;
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      const request = data.toString("latin1");
      if (!/^[A-Z]+ \//.test(request)) return;
      count += 1;
      requests.push(request);
      respond({ socket, count, total: requests.length, request });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, requests, sockets };
}

/** A 200 with a body and its true length; `extra` are whole header lines. */
export function answer(body: string | Buffer, extra: readonly string[] = []): Buffer {
  const bytes = Buffer.from(body as string);
  const head = ["HTTP/1.1 200 OK", `content-length: ${bytes.length}`, ...extra, "", ""].join("\r\n");
  return Buffer.concat([Buffer.from(head, "latin1"), bytes]);
}

/** Replaces one word, chunk by chunk: enough to see that everything passes through the scrubber. */
export function wordScrubber(word: string): AnswerScrubber {
  const text = (value: string) => {
    const parts = value.split(word);
    return { text: parts.join("[redacted]"), redacted: parts.length - 1 };
  };
  return {
    text,
    stream: () => {
      const held: Uint8Array[] = [];
      return {
        redacted: 0,
        push(chunk) {
          held.push(chunk);
          return [];
        },
        end() {
          const clean = text(Buffer.concat(held).toString("latin1"));
          this.redacted += clean.redacted;
          return Buffer.from(clean.text, "latin1");
        },
      } as { redacted: number; push(chunk: Uint8Array): Uint8Array[]; end(): Uint8Array };
    },
  };
}

/** The value of a counter once it stands still. */
export async function settled(read: () => number): Promise<number> {
  for (let still = 0, last = -1; ; last = read()) {
    still = read() === last ? still + 1 : 0;
    if (still > 200) return last;
    await new Promise(setImmediate);
  }
}
