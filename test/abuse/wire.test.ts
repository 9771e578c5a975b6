/** What anybody who reaches the port can send: each gets its code, and the next good request is served. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { exchangeRaw, problemOf, requestBytes } from "../laws/raw-http.testing.ts";
import { readEvidence } from "../laws/stage.testing.ts";
import { type AbuseStage, startAbuse } from "./stage.testing.ts";

/** Generous, for machines that do other things too. */
const LOOP_MS = 500;
const MEMORY_BYTES = 300 * 1024 * 1024;
const H = "Host: 127.0.0.1\r\n";

let stage: AbuseStage;
before(async () => {
  stage = await startAbuse((_, response) => response.end("ok"));
});
after(() => stage?.[Symbol.asyncDispose]());

const withKey = (line: string, headers: string, key = stage.key) =>
  `${line} HTTP/1.1\r\n${H}Authorization: Bearer ${key}\r\n${headers}\r\n`;

/** Bytes, and the code with which they are refused. */
const REFUSED: Readonly<Record<string, readonly [() => string, string]>> = {
  CONNECT: [() => `CONNECT evil.test:443 HTTP/1.1\r\n${H}\r\n`, "method_not_allowed"],
  "TRACE on the base-URL plane": [() => withKey("TRACE /api/api/x", ""), "method_not_allowed"],
  "an absolute target": [() => `GET http://127.0.0.1/mcp HTTP/1.1\r\n${H}\r\n`, "not_canonical"],
  "an asterisk": [() => `OPTIONS * HTTP/1.1\r\n${H}\r\n`, "not_canonical"],
  "a doubled slash before the route": [() => withKey("POST //mcp", ""), "not_found"],
  "a climb out of the plane": [() => withKey("GET /api/../mcp", ""), "unknown_service"],
  "a climb out of the service": [() => withKey("GET /api/api/../../mcp", ""), "not_canonical"],
  "an upgrade to h2c without a token": [
    () =>
      `GET /mcp HTTP/1.1\r\n${H}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
    "invalid_token",
  ],
  "HTTP/2 with prior knowledge": [() => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "invalid_request"],
  "TLS to a plain port": [() => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "invalid_request"],
  "an expectation that is not known": [() => `GET /healthz HTTP/1.1\r\n${H}Expect: wonders\r\n\r\n`, "invalid_request"],
  "no Host": [() => "GET /healthz HTTP/1.1\r\n\r\n", "bad_host"],
  "a foreign Host": [() => "GET /healthz HTTP/1.1\r\nHost: rebind.evil.test\r\n\r\n", "bad_host"],
  "two Hosts": [() => `GET /healthz HTTP/1.1\r\n${H}Host: evil.test\r\n\r\n`, "bad_host"],
  "a foreign Origin": [() => `GET /healthz HTTP/1.1\r\n${H}Origin: https://evil.test\r\n\r\n`, "bad_origin"],
  "the Origin null": [() => `GET /healthz HTTP/1.1\r\n${H}Origin: null\r\n\r\n`, "bad_origin"],
  "two Origins": [
    () => `GET /healthz HTTP/1.1\r\n${H}Origin: http://127.0.0.1\r\nOrigin: https://evil.test\r\n\r\n`,
    "bad_origin",
  ],
  "a length and chunks": [
    () => `${withKey("POST /api/api/x", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")}0\r\n\r\n`,
    "invalid_request",
  ],
  "two lengths": [
    () => `${withKey("POST /api/api/x", "Content-Length: 4\r\nContent-Length: 5\r\n")}abcd`,
    "invalid_request",
  ],
  "an unknown transfer coding": [
    () => withKey("POST /api/api/x", "Transfer-Encoding: xchunked\r\n"),
    "invalid_request",
  ],
  "lines that end in a line feed": [() => "GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n", "invalid_request"],
  "a folded header": [() => `GET /healthz HTTP/1.1\r\n${H}X: a\r\n b\r\n\r\n`, "invalid_request"],
  "a flood of headers": [() => `GET /healthz HTTP/1.1\r\n${H}${"a: b\r\n".repeat(20_000)}\r\n`, "too_large"],
  "a header without end": [() => `GET /healthz HTTP/1.1\r\n${H}X: ${"a".repeat(200_000)}\r\n\r\n`, "too_large"],
  "100 MB announced": [() => withKey("POST /api/api/x", "Content-Length: 104857600\r\n"), "too_large"],
  "100 MB announced to MCP": [
    () => withKey("POST /mcp", "Content-Type: application/json\r\nContent-Length: 104857600\r\n"),
    "too_large",
  ],
  "a cross-site form post": [
    () => `${withKey("POST /mcp", "Content-Type: text/plain\r\nContent-Length: 2\r\n")}{}`,
    "invalid_request",
  ],
  "a compressed message": [
    () =>
      `${withKey("POST /mcp", "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n")}{}`,
    "unsupported_encoding",
  ],
  "a compressed body": [
    () => `${withKey("POST /api/api/x", "Content-Encoding: gzip\r\nContent-Length: 2\r\n")}{}`,
    "unsupported_encoding",
  ],
  "the admin API on the port": [
    () => `${withKey("POST /admin/v1/status", "Content-Type: application/json\r\nContent-Length: 2\r\n")}{}`,
    "not_found",
  ],
  "the local door on the port": [
    () => `GET /stdio HTTP/1.1\r\n${H}Connection: Upgrade\r\nUpgrade: doorward-stdio\r\n\r\n`,
    "not_found",
  ],
  "two tokens": [() => withKey("GET /api/api/x", `Authorization: Bearer ${stage.otherKey}\r\n`), "invalid_token"],
  "a token too long": [
    () => `GET /api/api/x HTTP/1.1\r\n${H}Authorization: Bearer dw_${"a".repeat(20_000)}\r\n\r\n`,
    "invalid_token",
  ],
  "a purpose too long": [
    () => withKey("GET /api/api/x", `Doorward-Purpose: ${"p".repeat(200)}\r\n`),
    "invalid_request",
  ],
};

describe("what is not a request", { timeout: 60_000 }, () => {
  for (const [name, [bytes, code]] of Object.entries(REFUSED)) {
    test(`${name} is ${code}`, async () => {
      const answer = await exchangeRaw(stage.daemon.url, [bytes()]);
      assert.equal(problemOf(answer).code, code, answer?.wire.subarray(0, 300).toString("latin1") ?? "no answer");
      assert.ok(answer?.headers.has("doorward-request-id"));
      assert.ok(await stage.serves());
    });
  }

  test("internal headers from outside mean nothing", async () => {
    const before = stage.upstream.received.length;
    const headers =
      "Doorward-Agent: other\r\nX-Doorward-Agent: other\r\nX-Forwarded-For: 10.0.0.1\r\nDoorward-Request-Id: req_mine\r\n";
    const answer = await exchangeRaw(stage.daemon.url, [withKey("GET /api/api/internal", headers)]);
    assert.equal(answer?.status, 200);
    const id = answer.headers.get("doorward-request-id");
    assert.notEqual(id, "req_mine");
    const [decided] = readEvidence(stage.home.home).filter(
      ({ request_id, type }) => request_id === id && type === "call.decided",
    );
    assert.equal(decided?.["agent"], "bot");
    assert.equal(decided?.["ip"], "127.0.0.1");
    const sent = stage.upstream.received[before]!.headers;
    for (const name of Object.keys(sent)) assert.doesNotMatch(name, /doorward|forwarded/);
  });
});

describe("floods", { timeout: 120_000 }, () => {
  test("bodies of 100 MB in chunks, and of single bytes, cost no memory and no standstill", async () => {
    await stage.slowest();
    const memory = await stage.memoryBytes();
    const large = Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(65_536, 97), Buffer.from("\r\n")]);
    const tiny = Buffer.from("1\r\na\r\n".repeat(10_000));
    const send = async (head: string, chunk: Buffer, times: number) =>
      exchangeRaw(stage.daemon.url, [head, ...Array.from({ length: times }, () => chunk), "0\r\n\r\n"]);
    const api = withKey("POST /api/api/x", "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n");
    assert.equal(problemOf(await send(api, large, 1_600)).code, "too_large");
    assert.equal(problemOf(await send(api, tiny, 50)).code, "invalid_request");
    assert.equal((await send(api, tiny.subarray(0, 6 * 5_000), 1))?.status, 200);
    assert.ok((await stage.slowest()) < LOOP_MS);
    assert.ok((await stage.memoryBytes()) - memory < MEMORY_BYTES);
    assert.ok(await stage.serves());
  });

  test("bad tokens are told to wait, and a good one is not held up", async () => {
    const bad = requestBytes({ target: "/api/api/x", headers: [["Authorization", "Bearer dw_dev_wrong"]] });
    const codes = new Set<string>();
    for (let round = 0; round < 14; round++) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => exchangeRaw(stage.daemon.url, bad)));
      for (const answer of answers) codes.add(String(problemOf(answer).code));
    }
    assert.deepEqual(codes, new Set(["invalid_token", "rate_limited"]));
    assert.ok(await stage.serves());
    const refused = readEvidence(stage.home.home).filter(({ type }) => type === "token.refused");
    assert.ok(refused.length > 500 && refused.length < 700, `${refused.length} events for 700 failures`);
  });

  test("connections that say nothing, and leave", async () => {
    const port = Number(new URL(stage.daemon.url).port);
    const sockets = Array.from({ length: 1_000 }, () => connect(port, "127.0.0.1").on("error", () => {}));
    assert.ok(await stage.serves());
    for (const socket of sockets) socket.destroy();
    assert.ok(await stage.serves());
  });

  test("callers that leave in mid-call", async () => {
    const port = Number(new URL(stage.daemon.url).port);
    for (let i = 0; i < 100; i++) {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      socket.write(withKey("GET /api/api/leaving", ""));
      setTimeout(() => socket.destroy(), i % 5);
    }
    assert.ok(await stage.serves());
  });

  test("and the daemon has nothing to confess", () => {
    assert.doesNotMatch(stage.daemon.said(), /internal error/);
  });
});
