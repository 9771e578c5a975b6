import type { IncomingMessage, ServerResponse } from "node:http";

/** Proxies cut connections that are silent for longer. */
const KEEP_ALIVE_MS = 25_000;

/** A server-sent event stream to one client. */
export interface EventStream {
  send(message: string): void;
  close(): void;
}

/** Whether a client takes an event stream for an answer. */
export function acceptsEvents(request: IncomingMessage): boolean {
  return /text\/event-stream|\*\/\*/.test(request.headers.accept ?? "");
}

/** A client that reads less than it asked for loses notifications from here on. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

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
    send: (message) => sendEvent(response, message),
    close: () => void response.end(),
  };
}

/** Sends one message on a stream that is open; dropped when it is over, or its reader is far behind. */
export function sendEvent(response: ServerResponse, message: string): void {
  if (response.writableEnded || response.destroyed || response.writableLength > MAX_UNREAD_BYTES) return;
  response.write(`event: message\ndata: ${message}\n\n`);
}
