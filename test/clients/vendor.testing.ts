import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { makeHome, startDaemon, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { type Double, everythingOf, type Received, replyJson, startDouble } from "../harness/double.testing.ts";

/** The vendor's real keys, as only the vendor and the vault know them. */
export const VENDOR_SECRETS = {
  bearer: "vk_live_7c1f0b9d2e8a4f63",
  password: "p4ss-5d41402abc4b2a76",
  header: "hdr_9f86d081884c7d659a2f",
  query: "qry_2c26b46b68ffc68ff99b",
} as const;

const KB_TEXT = "The quick brown fox jumps over the lazy dog. ".repeat(400);
/** Every byte value, several times over. */
export const ALL_BYTES = Buffer.from(Array.from({ length: 4_096 }, (_, i) => (i * 7) % 256));
export const COMPRESSED_TEXT = KB_TEXT;
export const LARGE_BYTES = 20 * 1024 * 1024;

/** Part of a large answer: different everywhere, so that a lost or repeated chunk shows. */
export function largeBlock(index: number): Buffer {
  const block = Buffer.allocUnsafe(64 * 1024);
  for (let i = 0; i < block.length; i += 4) block.writeUInt32LE((index * 16_384 + i / 4) >>> 0, i);
  return block;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A vendor's API that answers everyone, and remembers what it was sent. */
export async function startVendor(): Promise<Double> {
  const vendor: Double = await startDouble((request, response) => answer(request, response, vendor.url));
  return vendor;
}

function answer(request: Received, response: ServerResponse, own: string): unknown {
  const url = new URL(request.url, own);
  const route = url.pathname.replace(/^\/v1\/?/, "");
  switch (route) {
    case "":
    case "items":
      if (request.method === "POST") {
        const { body, headers } = request;
        return replyJson(response, 201, {
          bytes: body.length,
          sha256: sha256(body),
          type: headers["content-type"] ?? null,
        });
      }
      return replyJson(
        response,
        200,
        { items: ["a", "b"], query: url.search },
        { etag: '"v1"', "x-request-id": "up-1" },
      );
    case "echo":
      return replyJson(response, 200, { headers: request.headers, url: request.url });
    case "gzip": {
      const body = gzipSync(KB_TEXT);
      const type = { "content-type": "text/plain; charset=utf-8" };
      return response.writeHead(200, { ...type, "content-encoding": "gzip", "content-length": body.length }).end(body);
    }
    case "bytes":
      return response.writeHead(200, { "content-type": "application/octet-stream" }).end(ALL_BYTES);
    case "large":
      return sendLarge(response);
    case "none":
      return response.writeHead(204).end();
    case "unchanged":
      if (request.headers["if-none-match"] === '"v1"') return response.writeHead(304, { etag: '"v1"' }).end();
      return replyJson(response, 200, { fresh: true }, { etag: '"v1"' });
    case "moved":
      return response.writeHead(302, { location: "/v1/items?page=2" }).end("moved");
    case "away":
      return response.writeHead(307, { location: "https://elsewhere.example/v1/items" }).end("away");
    case "cookie":
      return replyJson(response, 200, {}, { "set-cookie": "sid=1", "x-internal": "x", "retry-after": "3" });
    default:
      return replyJson(response, 404, { error: "no such thing" });
  }
}

async function sendLarge(response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": LARGE_BYTES });
  for (let i = 0; i < LARGE_BYTES / 65_536; i++) {
    if (!response.write(largeBlock(i))) await new Promise((resolve) => response.once("drain", resolve));
  }
  response.end();
}

/** A vendor and a daemon in front of it, with a service for each kind of credential. */
export interface Stage extends AsyncDisposable {
  readonly vendor: Double;
  readonly home: TestHome;
  readonly daemon: TestDaemon;
  /** The agent's key: never to be seen by the vendor. */
  readonly key: string;
  /** `http://127.0.0.1:PORT/api/SERVICE`. */
  base(service?: Service): string;
}

export type Service = "vendor" | "basic" | "keyed" | "queried";

export async function openStage(server = ""): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const vendor = stack.use(await startVendor());
  const { bearer, password, header, query } = VENDOR_SECRETS;
  const config = `version: 1
${server}
services:
${service("vendor", vendor.url, '{ kind: bearer, secret: "local:bearer" }')}
${service("basic", vendor.url, '{ kind: basic, username: acme, secret: "local:password" }')}
${service("keyed", vendor.url, '{ kind: header, name: X-Api-Key, secret: "local:header" }')}
${service("queried", vendor.url, '{ kind: query, name: api_key, secret: "local:query" }')}
roles: { user: { allow: ["*"] } }
agents: { bot: { roles: [user] } }
`;
  const home = stack.use(await makeHome({ config, secrets: { bearer, password, header, query }, agents: ["bot"] }));
  const daemon = stack.use(await startDaemon(home));
  const opened = stack.move();
  return {
    vendor,
    home,
    daemon,
    key: home.key("bot"),
    base: (name = "vendor") => `${daemon.url}/api/${name}`,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function service(name: string, url: string, credential: string): string {
  return `  ${name}:
    url: ${url}/v1
    private: true
    credential: ${credential}
    headers: { allow: [X-Feature] }
    limits: { request: 8MiB, response: 32MiB }
    operations: { all: { effect: write, allow: ["* /{path...}"] } }`;
}

/** Whether any trace of a Doorward key is in a request that arrived. */
export function holdsDoorwardKey(request: Received, key: string): boolean {
  const text = everythingOf(request);
  return [key, Buffer.from(key).toString("base64").slice(0, 40), "dw_"].some((trace) => text.includes(trace));
}
