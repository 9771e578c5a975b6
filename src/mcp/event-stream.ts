import type { ServerResponse } from "node:http";

/** Proxies cut connections that are silent for longer. */
const KEEP_ALIVE_MS = 25_000;

/** A server-sent event stream to one client. */
export interface EventStream {
  send(message: string): void;
  close(): void;
}

/** Opens the stream that a session listens on; nothing is sent yet but comments that keep it alive. */
export function openEventStream(response: ServerResponse, requestId: string): EventStream {
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "doorward-request-id": requestId,
  });
  response.flushHeaders();
  const beat = setInterval(() => response.write(": \n\n"), KEEP_ALIVE_MS);
  beat.unref();
  response.on("close", () => clearInterval(beat));
  return {
    send: (message) => void response.write(`event: message\ndata: ${message}\n\n`),
    close: () => void response.end(),
  };
}
