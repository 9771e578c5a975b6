import { connect } from "node:net";

/** One answer, read off the wire by hand, so that no client repairs it. */
export interface RawAnswer {
  readonly status: number;
  /** Lower-case names; of several the last. */
  readonly headers: ReadonlyMap<string, string>;
  /** Decoded from chunks. */
  readonly body: Buffer;
  /** All bytes that came. */
  readonly wire: Buffer;
}

/** With what a chunked body ends. */
const END = Buffer.from("\r\n\r\n");

/** Where to send bytes: a `http://host:port` or the path of a unix socket. */
export type RawTarget = string;

/** Bytes of a request, in pieces that are written one after the other. */
export type RawPieces = readonly (string | Uint8Array)[];

/**
 * Writes bytes as they are, and reads until the peer closes or one whole answer is there.
 *
 * @returns `undefined` when the connection ended without an answer.
 */
export async function exchangeRaw(target: RawTarget, pieces: RawPieces): Promise<RawAnswer | undefined> {
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const bodiless = pieces[0]?.toString().startsWith("HEAD ") === true;
  const socket = target.startsWith("http") ? connect(Number(new URL(target).port), "127.0.0.1") : connect(target);
  let bytes = 0;
  let wanted = 0;
  let chunked = false;
  socket.on("data", (chunk) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes < wanted || (chunked && !chunk.subarray(-4).equals(END))) return;
    const read = readAnswer(Buffer.concat(chunks));
    if (read?.whole === true || (bodiless && read !== undefined)) resolve();
    // A large answer is put together once, not with each of its pieces.
    if (read === undefined) return;
    const { headers, wire } = read.answer;
    chunked = headers.get("transfer-encoding") === "chunked";
    wanted = wire.indexOf(END) + END.length + Number(headers.get("content-length") ?? 0);
  });
  socket.on("error", () => {});
  socket.on("close", () => resolve());
  for (const piece of pieces) socket.write(typeof piece === "string" ? Buffer.from(piece, "latin1") : piece);
  await promise;
  socket.destroy();
  return readAnswer(Buffer.concat(chunks))?.answer;
}

/** Reads one answer; `whole` when nothing of it is missing. */
export function readAnswer(wire: Buffer): { readonly whole: boolean; readonly answer: RawAnswer } | undefined {
  const end = wire.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const [first = "", ...lines] = wire.subarray(0, end).toString("latin1").split("\r\n");
  const status = Number(first.split(" ")[1]);
  if (status === 100) return readAnswer(wire.subarray(end + 4));
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const rest = wire.subarray(end + 4);
  const chunked = headers.get("transfer-encoding") === "chunked" ? readChunks(rest) : undefined;
  const length = Number(headers.get("content-length") ?? Number.NaN);
  const whole = chunked?.whole ?? (rest.length >= length || status === 204 || status === 304);
  return { whole, answer: { status, headers, body: chunked?.body ?? rest, wire } };
}

function readChunks(bytes: Buffer): { readonly whole: boolean; readonly body: Buffer } {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const line = bytes.indexOf("\r\n", at);
    if (line === -1) return { whole: false, body: Buffer.concat(parts) };
    const size = Number.parseInt(bytes.subarray(at, line).toString("latin1"), 16);
    if (size === 0) return { whole: bytes.indexOf("\r\n\r\n", line) !== -1, body: Buffer.concat(parts) };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
    if (at > bytes.length) return { whole: false, body: Buffer.concat(parts) };
  }
}

/** An ordinary request's bytes; everything in it is written as given. */
export function requestBytes(request: {
  readonly method?: string;
  readonly target: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: Uint8Array | string | undefined;
  readonly host?: string;
}): RawPieces {
  const { method = "GET", target, headers = [], body, host = "127.0.0.1" } = request;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const length = bytes === undefined ? [] : [["Content-Length", String(bytes.length)] as const];
  const lines = [["Host", host] as const, ...headers, ...length].map(([name, value]) => `${name}: ${value}\r\n`);
  return [
    `${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`,
    ...(bytes === undefined || bytes.length === 0 ? [] : [bytes]),
  ];
}

/** The problem document of a refusal; `{}` when there is none. */
export function problemOf(answer: RawAnswer | undefined): {
  readonly code?: string;
  readonly [field: string]: unknown;
} {
  if (answer?.headers.get("content-type") !== "application/problem+json") return {};
  return JSON.parse(answer.body.toString("utf8")) as { code: string };
}
