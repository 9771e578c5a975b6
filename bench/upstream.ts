/**
 * The upstream where nginx is not installed: answers every request with the sample.
 *
 * Run as a program of its own: `node bench/upstream.ts`.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SAMPLE_ANSWER } from "./sample-answer.ts";

const answer = Buffer.from(SAMPLE_ANSWER);
const head = { "content-type": "application/json", "content-length": answer.length };

const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, head).end(answer);
});
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`ready on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
