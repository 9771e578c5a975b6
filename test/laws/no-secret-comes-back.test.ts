/**
 * The law of the way back: an upstream that writes the credential into its answer, in any published encoding, anywhere
 * and in any pieces, tells the agent nothing; and what is not the credential comes through unchanged.
 */
import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { choicesFrom, ESCAPES, FORMS, leaks } from "../../src/credentials/encodings.testing.ts";
import { makeHome, type TestDaemon, type TestHome } from "../harness/daemon.testing.ts";
import { exchangeRaw, requestBytes } from "./raw-http.testing.ts";
import { callTool, evidenceText, startStage } from "./stage.testing.ts";

const RUNS = Number(process.env["LAW_RUNS"] ?? 300);
const SECRET = 'rk/"Zp8v+Q2&mX7';
const USER = "api-user";

/** What the upstream sends next, byte for byte, in the pieces of the list. */
let script: readonly Buffer[] = [];
let upstream: Server;
let home: TestHome;
let daemon: TestDaemon;
let key: string;

const config = (port: number) => {
  const service = (name: string, credential: string) => `  ${name}:
    url: http://127.0.0.1:${port}
    private: true
    credential: ${credential}
    operations: { all: { effect: read, allow: ["GET /{path...}", "GET /"] } }
`;
  return `version: 1
services:
${service("bearer", '{ kind: bearer, secret: "local:api" }')}${service("basic", `{ kind: basic, username: ${USER}, secret: "local:api" }`)}${service("header", '{ kind: header, name: X-Api-Key, secret: "local:api" }')}${service("query", '{ kind: query, name: token, secret: "local:api" }')}roles: { reader: { allow: ["*"] } }
agents: { bot: { roles: [reader] } }
`;
};

before(async () => {
  upstream = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => void speak(socket, script));
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as { port: number };
  home = await makeHome({ config: config(port), secrets: { api: SECRET }, agents: ["bot"] });
  daemon = await startStage(home);
  key = home.key("bot");
});
after(async () => {
  await daemon?.[Symbol.asyncDispose]();
  upstream?.close();
  home?.[Symbol.dispose]();
});

/** Each piece goes out by itself, as a packet of its own where the kernel allows it. */
async function speak(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  socket.setNoDelay(true);
  for (const piece of pieces) {
    await new Promise((resolve) => socket.write(piece, resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
}

const numbers = fc.array(fc.nat(1_000), { minLength: 8, maxLength: 40 });
const PLACES = ["body", "body", "body", "header", "status", "location", "trailer", "error", "broken"] as const;
const CODINGS = {
  identity: (bytes: Buffer) => bytes,
  gzip: (bytes: Buffer) => gzipSync(bytes),
  br: (bytes: Buffer) => brotliCompressSync(bytes),
  deflate: (bytes: Buffer) => deflateSync(bytes),
  zstd: (bytes: Buffer) => zstdCompressSync(bytes),
};
const echo = fc.record({
  service: fc.constantFrom("bearer", "basic", "header", "query"),
  form: fc.constantFrom(...Object.keys(FORMS)),
  escapes: fc.array(fc.constantFrom(...Object.keys(ESCAPES)), { maxLength: 2 }),
  numbers,
  place: fc.constantFrom(...PLACES),
  coding: fc.constantFrom<keyof typeof CODINGS>("identity", "identity", "gzip", "br", "deflate", "zstd"),
  chunked: fc.boolean(),
  pieceBytes: fc.constantFrom(1, 2, 3, 5, 7, 16, 64, 100_000),
  type: fc.constantFrom("application/json", "text/html", "text/event-stream", "application/octet-stream"),
});
type Echo = typeof echo extends fc.Arbitrary<infer T> ? T : never;

/** Text around the credential: nothing in it decodes to anything. */
const BEFORE = '{"ok": true, "note": "<';
const AFTER = '> end of it, \u00e9\u20ac \u{1f600}"}';

function written({ form, escapes, numbers }: Echo): Buffer {
  const choose = choicesFrom(numbers);
  const plain = FORMS[form]!(SECRET, choose).toString("latin1");
  return Buffer.from(
    escapes.reduce((text, name) => ESCAPES[name]!(text, choose), plain),
    "latin1",
  );
}

/** The upstream's answer, whole. */
function wire(one: Echo, trace: Buffer): Buffer {
  const header = trace.toString("latin1").replace(/[^\t\x20-\x7e\x80-\xff]/g, "");
  const inBody = one.place === "body" || one.place === "error" || one.place === "broken";
  const plain = inBody ? Buffer.concat([Buffer.from(BEFORE), trace, Buffer.from(AFTER)]) : Buffer.from(BEFORE + AFTER);
  const body = CODINGS[one.coding](plain);
  const chunked = one.chunked || one.place === "trailer";
  const lines = [
    `HTTP/1.1 ${one.place === "error" ? 500 : 200} ${one.place === "status" ? header : "OK"}`,
    `Content-Type: ${one.type}`,
    ...(one.coding === "identity" ? [] : [`Content-Encoding: ${one.coding}`]),
    ...(one.place === "header"
      ? [`X-Request-Id: ${header}`, `ETag: "${header}"`, `Retry-After: ${header}`, `X-Other: ${header}`]
      : []),
    ...(one.place === "location" ? [`Location: /next?k=${header}`, `Link: </x?k=${header}>; rel=next`] : []),
    ...(one.place === "broken" ? [`Broken header ${header}`] : []),
    chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`,
    "Connection: close",
  ];
  const trailer = one.place === "trailer" ? `X-Trace: ${header}\r\n` : "";
  const sent = chunked
    ? Buffer.concat([...chunksOf(body, one.pieceBytes), Buffer.from(`0\r\n${trailer}\r\n`, "latin1")])
    : body;
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), sent]);
}

function chunksOf(body: Buffer, bytes: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < body.length; at += bytes) {
    const piece = body.subarray(at, at + bytes);
    chunks.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
  }
  return chunks;
}

function split(bytes: Buffer, pieceBytes: number): Buffer[] {
  // The head in few pieces: only the body's borders matter, and a packet for each byte of it would take minutes.
  const head = bytes.indexOf("\r\n\r\n") + 4;
  const size = Math.max(pieceBytes, Math.ceil((bytes.length - head) / 64));
  const pieces = [bytes.subarray(0, head)];
  for (let at = head; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

const FORBIDDEN = [
  ...new Set(
    Object.values(FORMS).map((write) =>
      write(SECRET, () => 0)
        .toString("latin1")
        .replace(/=+$/, ""),
    ),
  ),
];

/** Looks where the words around it say that the trace was, by brute force; then for what nobody should have to decode. */
function assertClean(text: string, one: Echo, where: string): void {
  for (const form of FORBIDDEN)
    assert.ok(!text.includes(form), `${where} holds the credential: ${JSON.stringify(one)}`);
  const start = text.indexOf("note");
  const end = text.indexOf("end of it");
  if (start === -1 || end === -1 || end - start > 400) return;
  assert.equal(
    leaks(text.slice(start, end), [SECRET]),
    undefined,
    `${where} can be decoded to the credential: ${JSON.stringify(one)}`,
  );
}

describe("no secret comes back", { timeout: 240_000 }, () => {
  test("on /api", async () => {
    const ask = async (one: Echo) => {
      script = split(wire(one, written(one)), one.pieceBytes);
      const headers = [["Authorization", `Bearer ${key}`]] as const;
      const answer = await exchangeRaw(daemon.url, requestBytes({ target: `/api/${one.service}/x`, headers }));
      assert.ok(answer !== undefined || one.place === "broken", "there is an answer");
      if (answer === undefined) return;
      assertClean(answer.wire.toString("latin1"), one, "the answer");
      if (answer.status === 200 && one.place !== "body") assert.equal(answer.body.toString("utf8"), BEFORE + AFTER);
      if (one.place !== "body") return;
      assert.equal(answer.status, 200);
      const text = answer.body.toString("utf8");
      assert.ok(text.startsWith(BEFORE) && text.endsWith(AFTER), `the text around it changed: ${JSON.stringify(text)}`);
      assert.notEqual(answer.headers.get("doorward-redacted") ?? "trailer", "0");
    };
    await fc.assert(fc.asyncProperty(echo, ask), { numRuns: RUNS });
  });

  test("through doorward_request", async () => {
    const ask = async (one: Echo) => {
      script = split(wire(one, written(one)), one.pieceBytes);
      const answer = await callTool(daemon.url, key, "doorward_request", {
        service: one.service,
        method: "GET",
        path: "/x",
      });
      assertClean(answer.http!.wire.toString("latin1"), one, "the message");
      if (answer.isError)
        return assert.ok(
          one.place === "broken" ||
            one.place === "status" ||
            one.place === "header" ||
            one.place === "location" ||
            one.place === "trailer",
          JSON.stringify(answer.error),
        );
      const raw = String(answer.content["body"]);
      const text = answer.content["body_encoding"] === "base64" ? Buffer.from(raw, "base64").toString("utf8") : raw;
      assertClean(text, one, "the body");
      assertClean(JSON.stringify(answer.content["headers"]), one, "the headers");
      assert.ok(text.startsWith(BEFORE) && text.endsWith(AFTER), `the text around it changed: ${JSON.stringify(text)}`);
      if (one.place === "body") assert.ok(Number(answer.content["redacted"]) > 0, JSON.stringify(one));
    };
    await fc.assert(fc.asyncProperty(echo, ask), { numRuns: RUNS });
  });

  test("answers without the credential are unchanged, whatever they hold", async () => {
    const bytes = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc
          .constantFrom("rk/", '"Zp8v', "%2", "\\u", "&#", "cmsvIlp", "\\\\\\", "=", "%25%32")
          .map((text) => Buffer.from(text)),
      ),
      { maxLength: 40 },
    );
    const ask = async (parts: readonly Uint8Array[], coding: keyof typeof CODINGS, pieceBytes: number) => {
      const body = Buffer.concat(parts);
      const sent = CODINGS[coding](body);
      const head = `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Encoding: ${coding}\r\nContent-Length: ${sent.length}\r\nConnection: close\r\n\r\n`;
      script = split(Buffer.concat([Buffer.from(head), sent]), pieceBytes);
      const answer = await exchangeRaw(
        daemon.url,
        requestBytes({ target: "/api/bearer/x", headers: [["Authorization", `Bearer ${key}`]] }),
      );
      assert.deepEqual(answer?.body, body);
    };
    const codings = fc.constantFrom<keyof typeof CODINGS>("identity", "gzip", "br", "deflate", "zstd");
    await fc.assert(fc.asyncProperty(bytes, codings, fc.constantFrom(1, 3, 64, 100_000), ask), { numRuns: RUNS / 2 });
  });

  test("nor stands it in the evidence, the metrics or what the daemon said", async () => {
    const metrics = await exchangeRaw(daemon.url, requestBytes({ target: "/metrics" }));
    const places = {
      evidence: evidenceText(home.home),
      metrics: metrics!.wire.toString("latin1"),
      stderr: daemon.said(),
    };
    for (const [where, text] of Object.entries(places)) {
      for (const form of FORBIDDEN) assert.ok(!text.includes(form), `${where} holds the credential`);
      assert.ok(!text.includes(key), `${where} holds the agent's key`);
    }
    assert.doesNotMatch(daemon.said(), /internal error/);
  });
});
