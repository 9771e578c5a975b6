import type { IncomingMessage, ServerResponse } from "node:http";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { readBody } from "../base/read-body.ts";
import { isSameCaller, type Principal } from "../identity/principal.ts";
import type { Killable } from "../policy/kills.ts";
import { closeSession, connectionSession } from "./client-session.ts";
import { openEventStream } from "./event-stream.ts";
import { handleLine, type LineConnection, type LineDeps } from "./handle-line.ts";
import { RunningCalls } from "./running-calls.ts";

/** Streams that one agent may keep open, and all agents together. */
const MAX_STREAMS_PER_AGENT = 64;
const MAX_STREAMS = 1_024;
/** One message; the limit of `/mcp`. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** A client that leaves more unread is let go: without its answers it cannot go on. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

export interface LegacySseDeps extends Omit<LineDeps, "authenticate"> {
  /** Told when a stream is over. */
  readonly ended: (id: string) => void;
}

interface Caller {
  readonly principal: Principal;
  readonly requestId: string;
}

/** The transport of 2024-11-05, for clients that know no other: a stream from the server, and posts to it. */
export interface LegacySse {
  /** `GET /sse`: opens the stream, whose first event names where to post. @throws {Problem} */
  stream(request: IncomingMessage, response: ServerResponse, caller: Caller): void;
  /** `POST /messages?sessionId=…`: takes one message; its answer comes on the stream. @throws {Problem} */
  message(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void>;
  /** Ends the streams of some, or all. @returns How many. */
  endAll(whose?: (who: Killable) => boolean): number;
}

interface OpenStream {
  readonly principal: Principal;
  readonly connection: LineConnection;
  readonly close: () => void;
}

export function createLegacySse(deps: LegacySseDeps): LegacySse {
  const streams = new Map<string, OpenStream>();
  return {
    stream(request, response, { principal, requestId }) {
      if (request.method !== "GET") throw new Problem("method_not_allowed");
      const mine = [...streams.values()].filter((stream) => stream.principal.agent === principal.agent).length;
      if (streams.size >= MAX_STREAMS || mine >= MAX_STREAMS_PER_AGENT) {
        throw new Problem("rate_limited", { detail: "too many streams are open", fields: { retry_after: 5 } });
      }
      const { close } = openEventStream(response, requestId);
      const connection = connect(response);
      const { id } = connection.session;
      streams.set(id, { principal, connection, close });
      response.on("close", () => {
        streams.delete(id);
        for (const controller of connection.running.values()) controller.abort();
        closeSession(connection.session);
        deps.ended(id);
      });
      response.write(`event: endpoint\ndata: /messages?sessionId=${id}\n\n`);
    },
    async message(request, response, { principal, requestId }) {
      if (request.method !== "POST") throw new Problem("method_not_allowed");
      // INVARIANT: only JSON, so that no web page can post here without a preflight that it will not pass.
      if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
        throw new Problem("invalid_request", { detail: "the content-type must be application/json" });
      }
      if (request.headers["content-encoding"] !== undefined) throw new Problem("unsupported_encoding");
      const id = new URLSearchParams((request.url ?? "").split("?")[1]).get("sessionId") ?? "";
      const found = streams.get(id);
      // A stream of somebody else's is answered as if there were none.
      if (found === undefined || !isSameCaller(found.principal, principal)) throw new Problem("not_found");
      const body = await readBody(request, MAX_MESSAGE_BYTES);
      response.writeHead(202, { "content-length": 0, "doorward-request-id": requestId }).end();
      await handleLine(
        Buffer.from(body ?? ""),
        { ...deps, authenticate: () => ({ ok: true, principal }) },
        found.connection,
      );
    },
    endAll(whose = () => true) {
      const ending = [...streams.values()].filter(({ principal }) => whose(principal));
      for (const { close } of ending) close();
      return ending.length;
    },
  };
}

function connect(response: ServerResponse): LineConnection {
  const send: LineConnection["send"] = (message, sent = () => {}) => {
    if (response.writableEnded || response.destroyed) return sent();
    if (response.writableLength > MAX_UNREAD_BYTES) {
      response.destroy();
      return sent();
    }
    response.write(`event: message\ndata: ${message}\n\n`, () => sent());
  };
  const session = connectionSession(newId("sse"), send);
  return { running: new RunningCalls(), session, send };
}
