/**
 * The floor for an MCP tool call: one JSON-RPC message in, undici's `dispatch` behind, text and structured content out,
 * in the shape of `doorward_request`. No check, no session, no evidence, no scrubbing.
 *
 * Run as a program of its own: `node bench/baseline-mcp.ts UPSTREAM_ORIGIN`.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Pool } from "undici";

interface ToolCall {
  readonly id: string | number;
  readonly params: { readonly arguments: { readonly method: "GET"; readonly path: string } };
}

const pool = new Pool(process.argv[2]!, { connections: 64, pipelining: 1 });

const server = createServer((request, response) => {
  const body: Buffer[] = [];
  request.on("data", (chunk: Buffer) => body.push(chunk));
  request.on("end", () => {
    const { id, params } = JSON.parse(Buffer.concat(body).toString()) as ToolCall;
    const parts: Buffer[] = [];
    let status = 0;
    let headers: Record<string, string | string[] | undefined> = {};
    pool.dispatch(
      {
        path: params.arguments.path,
        method: params.arguments.method,
        headers: { accept: "application/json", authorization: "Bearer sk-bench-0123456789abcdef0123456789abcdef" },
        body: null,
      },
      {
        onRequestStart() {},
        onResponseStart(_, code, fields) {
          status = code;
          headers = fields;
        },
        onResponseData(_, chunk) {
          parts.push(chunk);
        },
        onResponseEnd() {
          const text = Buffer.concat(parts).toString();
          const structuredContent = {
            status,
            headers: { "content-type": headers["content-type"] },
            body: text,
            body_encoding: "utf8",
            truncated: false,
            redacted: 0,
          };
          const result = { content: [{ type: "text", text }], structuredContent, resultType: "complete" };
          const answer = Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, result }));
          response.writeHead(200, { "content-type": "application/json", "content-length": answer.length }).end(answer);
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
