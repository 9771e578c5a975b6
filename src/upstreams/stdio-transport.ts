import type { Readable, Writable } from "node:stream";
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { LOCAL_ERROR_CODE, localError } from "./local-error.ts";
import { createMessageBudget } from "./message-budget.ts";
import { createLineCutter } from "./message-lines.ts";
import { RESULT_VALUES_MAX } from "./scrub-result.ts";

/** The ends of a child's pipes that messages go through. */
export interface MessagePipes {
  readonly stdin: Writable;
  readonly stdout: Readable;
}

export interface StdioLimits {
  /** Of one message that comes; a larger one is thrown away, and the call that it answers fails. */
  readonly messageBytes: number;
}

/** What a transport tells of a server that misbehaves. */
export interface StdioObserver {
  /** A line that is no message, an answer that nobody waits for, or what came beyond a limit. */
  ignored(why: IgnoredWhy): void;
  /** It has to be stopped: what it does would use up what others need. */
  intolerable(why: string): void;
}

export type IgnoredWhy = "garbage" | "answer_to_nobody" | "too_large" | "flood";

/** A message from or to a server whose own words were not looked at yet. */
export interface StdioTransport extends Transport {
  /** These two make the SDK treat it as a pipe: a probe that is not answered is answered by an older server. */
  readonly stderr: null;
  readonly pid: null;
  /** The pipe has ended: fails what waits. */
  ended(): void;
}

/** A line this much longer than a message may be is a flood. */
const FLOOD_FACTOR = 8;
const FLOOD_BYTES_MAX = 256 * 1024 * 1024;
/** Lines that make no sense, before a server is given up. */
const IGNORED_MAX = 1_000;
/** Written and not yet read by the server. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;
/** Messages that nobody asked for, beyond their rate, before a server is given up. */
const UNASKED_DROPPED_MAX = 20_000;

/** Of each end of a line that cannot be read: where its id is looked for. */
const ENVELOPE_BYTES = 256;
/** What sets an answer apart from a log of the request. */
const ANSWERS = /"(?:result|error)"\s*:/;

const TURN = Promise.resolve().then(() => {});

type RpcId = string | number;

/**
 * MCP over the pipes of a child that is not trusted: one JSON object a line, read strictly.
 *
 * What is no JSON-RPC message, and what answers no open request (with the id exactly as it was sent), is ignored and
 * counted; who goes on with it is given up. The rate of what nobody asked for is bounded.
 *
 * @param stop - Ends the child when the client closes the transport.
 */
export function createStdioTransport(
  pipes: MessagePipes,
  limits: StdioLimits,
  observer: StdioObserver,
  stop: () => Promise<void>,
): StdioTransport {
  const waiting = new Set<RpcId>();
  const budget = createMessageBudget();
  let ignored = 0;
  let closed = false;

  const ignore = (why: IgnoredWhy) => {
    observer.ignored(why);
    if (why === "flood") {
      if (budget.dropped > UNASKED_DROPPED_MAX)
        observer.intolerable("it floods us with messages that nobody asked for");
      return;
    }
    ignored += 1;
    if (ignored === IGNORED_MAX) observer.intolerable("it goes on writing what is no message to standard output");
  };
  // The SDK looks at a notification a turn later and at an answer at once: progress would come too late for its call.
  const queue: JSONRPCMessage[] = [];
  let delivering = false;
  const deliver = (message: JSONRPCMessage) => {
    queue.push(message);
    if (!delivering) void deliverAll();
  };
  const deliverAll = async () => {
    delivering = true;
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      transport.onmessage?.(next);
      if ("method" in next) await TURN;
    }
    delivering = false;
  };
  const receive = (line: Buffer) => {
    const message = readLine(line);
    if (message === undefined) {
      ignore("garbage");
      return failUnreadable(line);
    }
    if (message.kind === "answer") {
      if (!waiting.delete(message.id)) return ignore("answer_to_nobody");
    } else if (!budget.take(performance.now())) return ignore("flood");
    deliver(message.value as unknown as JSONRPCMessage);
  };
  /** A call whose answer came and makes no sense does not wait for its deadline. */
  const failUnreadable = (line: Buffer) => {
    const ends = [line.subarray(0, ENVELOPE_BYTES), line.subarray(-ENVELOPE_BYTES)].map((end) =>
      end.toString("latin1"),
    );
    const id = ends.some((end) => ANSWERS.test(end)) ? findId(ends[0]!, ends[1]!, waiting) : undefined;
    if (id === undefined) return;
    waiting.delete(id);
    deliver(localError(id, new Problem("upstream_invalid")));
  };
  const failOversized = ({ start, end }: { readonly start: Buffer; readonly end: Buffer }) => {
    ignore("too_large");
    const id = findId(start.toString("latin1"), end.toString("latin1"), waiting);
    for (const each of id === undefined ? [...waiting] : [id]) {
      waiting.delete(each);
      deliver(localError(each, new Problem("upstream_too_large")));
    }
  };
  const cut = createLineCutter(
    { lineBytes: limits.messageBytes, floodBytes: Math.min(FLOOD_BYTES_MAX, limits.messageBytes * FLOOD_FACTOR) },
    {
      line: receive,
      oversized: failOversized,
      flooded: () => observer.intolerable("it writes without end and without a message"),
    },
  );

  const transport: StdioTransport = {
    stderr: null,
    pid: null,
    async start() {
      pipes.stdout.on("data", (chunk: Buffer) => {
        if (!closed) cut(chunk);
      });
      pipes.stdout.on("error", () => {});
      pipes.stdin.on("error", () => {});
    },
    async send(message) {
      if (closed || !pipes.stdin.writable)
        throw new Problem("upstream_unreachable", { detail: "the server has exited" });
      if (pipes.stdin.writableLength > UNREAD_BYTES_MAX) {
        throw new Problem("upstream_unreachable", { detail: "the server does not read what is sent to it" });
      }
      note(message, waiting);
      pipes.stdin.write(`${JSON.stringify(message)}\n`);
    },
    async close() {
      await stop();
      transport.ended();
    },
    ended() {
      if (closed) return;
      closed = true;
      transport.onclose?.();
    },
  };
  return transport;
}

/** Keeps the ids of open requests; what is cancelled has no answer to wait for. */
function note(message: JSONRPCMessage, waiting: Set<RpcId>): void {
  if (!("method" in message)) return;
  if ("id" in message) waiting.add(message.id);
  else if (message.method === "notifications/cancelled") {
    const id = (message.params as { requestId?: unknown } | undefined)?.requestId;
    if (typeof id === "string" || typeof id === "number") waiting.delete(id);
  }
}

/** @returns `undefined` for what is no message, or one that two readers would read in two ways. */
function readLine(line: Buffer): ReadMessage | undefined {
  const strict = parseStrictJson(line, LIMITS);
  // Programs that cut texts at a length leave halves of characters, which JSON can write and nobody can read.
  const parsed = strict.ok ? strict : parseStrictJson(withoutHalves(line.toString("utf8")), LIMITS);
  return parsed.ok ? readMessage(parsed.value) : undefined;
}

const LIMITS = { values: RESULT_VALUES_MAX };
const ESCAPES = /\\u(?:d[89ab][0-9a-f]{2}\\ud[c-f]|(d[89a-f]))[0-9a-f]{2}|\\[\s\S]/gi;

/** A JSON text with each escaped lone surrogate as the sign for what cannot be read. */
function withoutHalves(json: string): string {
  return json.replace(ESCAPES, (whole, half?: string) => (half === undefined ? whole : "\\ufffd"));
}

type ReadMessage =
  | { readonly kind: "answer"; readonly id: RpcId; readonly value: JsonObject }
  | { readonly kind: "unasked"; readonly value: JsonObject };

function readMessage(value: JsonValue): ReadMessage | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const message = value as JsonObject;
  if (message["jsonrpc"] !== "2.0") return undefined;
  const id = message["id"];
  const hasId = typeof id === "string" || typeof id === "number";
  const answers = Number("result" in message) + Number("error" in message);
  if ("method" in message) {
    if (typeof message["method"] !== "string" || answers > 0 || (id !== undefined && !hasId)) return undefined;
    return { kind: "unasked", value: message };
  }
  if (answers !== 1 || !hasId) return undefined;
  if ("error" in message && !isRpcError(message["error"])) return undefined;
  return { kind: "answer", id, value: message };
}

function isRpcError(value: JsonValue | undefined): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { code, message } = value as JsonObject;
  return Number.isSafeInteger(code) && code !== LOCAL_ERROR_CODE && typeof message === "string";
}

/** An envelope's id stands first or last in practice. A wrong guess fails a call of the same server, no more. */
function findId(start: string, end: string, waiting: ReadonlySet<RpcId>): RpcId | undefined {
  const first = /"id"\s*:\s*("[^"\\]{1,64}"|-?\d{1,16})/.exec(start)?.[1];
  const last = [...end.matchAll(/"id"\s*:\s*("[^"\\]{1,64}"|-?\d{1,16})/g)].at(-1)?.[1];
  for (const found of [last, first]) {
    const id = found === undefined ? undefined : (JSON.parse(found) as RpcId);
    if (id !== undefined && waiting.has(id)) return id;
  }
  return undefined;
}
