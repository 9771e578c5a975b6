/**
 * The floor for `/api`: node:http in front, undici's `dispatch` behind, a bearer header put on, the answer written once.
 * No check, no evidence, no scrubbing. The fastest forward that Node can do.
 *
 * Run as a program of its own: `node bench/baseline-dispatch.ts UPSTREAM_ORIGIN`.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Pool } from "undici";

const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "content-length", "date"]);

const pool = new Pool(process.argv[2]!, { connections: 64, pipelining: 1 });

const server = createServer((request, response) => {
  const body: Buffer[] = [];
  request.on("data", (chunk: Buffer) => body.push(chunk));
  request.on("end", () => {
    const parts: Buffer[] = [];
    let status = 0;
    let headers: Record<string, string | string[]> = {};
    pool.dispatch(
      {
        path: request.url!,
        method: request.method as "GET",
        headers: { accept: "application/json", authorization: "Bearer sk-bench-0123456789abcdef0123456789abcdef" },
        body: body.length === 0 ? null : Buffer.concat(body),
      },
      {
        onRequestStart() {},
        onResponseStart(_, code, fields) {
          status = code;
          headers = fields as Record<string, string | string[]>;
        },
        onResponseData(_, chunk) {
          parts.push(chunk);
        },
        onResponseEnd() {
          const answer = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
          const kept: Record<string, string | string[] | number> = { "content-length": answer.length };
          for (const name in headers) if (!HOP_BY_HOP.has(name)) kept[name] = headers[name]!;
          response.writeHead(status, kept).end(answer);
        },
        onResponseError() {
          response.destroy();
        },
      },
    );
  });
});
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`ready on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
