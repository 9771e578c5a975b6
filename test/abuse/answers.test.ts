/** What an upstream can answer: each gets its code, nothing stands still or grows, the next good request is served. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { exchangeRaw, problemOf, requestBytes } from "../laws/raw-http.testing.ts";
import { callTool, readEvidence, toolBytes } from "../laws/stage.testing.ts";
import { type AbuseStage, startAbuse } from "./stage.testing.ts";

/** Generous, for machines that do other things too; what these tests found took a second and more. */
const LOOP_MS = 500;
const MEBIBYTE = 1024 * 1024;
/** Far more than a share holds. */
const READERS_MAX = 100;
const ANSWER_BYTES = 4 * MEBIBYTE;

const filled = (text: string, bytes: number) => Buffer.from(text.repeat(Math.floor(bytes / text.length)));
const bomb = gzipSync(Buffer.alloc(64 * MEBIBYTE));
const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/** By path: what is written to the connection, and the codes that an agent may see; `cut` where the head was out already. */
const WICKED: Readonly<
  Record<string, { readonly wire: () => string | Buffer; readonly endless?: string; readonly codes: readonly string[] }>
> = {
  "/garbage": { wire: () => "\0\0\0\0 not HTTP at all\r\n\r\n", codes: ["upstream_invalid"] },
  "/nothing": { wire: () => "", codes: ["upstream_invalid", "upstream_unreachable"] },
  "/http09": { wire: () => "hello", codes: ["upstream_invalid"] },
  "/short": { wire: () => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello", codes: ["upstream_invalid"] },
  "/lengths": {
    wire: () => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    codes: ["upstream_invalid"],
  },
  "/both": {
    wire: () => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    codes: ["upstream_invalid"],
  },
  "/chunk": { wire: () => `${chunked}zz\r\nhello`, codes: ["upstream_invalid"] },
  "/status": { wire: () => "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", codes: ["upstream_invalid"] },
  "/switch": {
    wire: () => "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    codes: ["upstream_invalid"],
  },
  "/interim": {
    wire: () => "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1_000),
    codes: ["upstream_invalid"],
  },
  "/headers": {
    wire: () => `HTTP/1.1 200 OK\r\n${"X-A: b\r\n".repeat(2_000)}Content-Length: 0\r\n\r\n`,
    codes: ["upstream_invalid"],
  },
  "/header": { wire: () => `HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(300_000)}\r\n\r\n`, codes: ["upstream_invalid"] },
  "/split": {
    wire: () => "HTTP/1.1 200 OK\r\nX-Request-Id: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    codes: ["upstream_invalid"],
  },
  "/bomb": {
    wire: () =>
      Buffer.concat([
        Buffer.from(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`),
        bomb,
      ]),
    codes: ["upstream_too_large", "cut"],
  },
  "/coding": {
    wire: () => "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello",
    codes: ["upstream_invalid", "cut"],
  },
  "/strange": {
    wire: () => "HTTP/1.1 200 OK\r\nContent-Encoding: magic\r\nContent-Length: 5\r\n\r\nhello",
    codes: ["upstream_invalid"],
  },
  "/silent": { wire: () => "HTTP/1.1 200 OK\r\n", endless: "", codes: ["upstream_timeout"] },
  "/endless": {
    wire: () => chunked,
    endless: `10000\r\n${"a".repeat(65_536)}\r\n`,
    codes: ["upstream_too_large", "cut"],
  },
  "/endless-head": {
    wire: () => "HTTP/1.1 200 OK\r\n",
    endless: `X-A: ${"a".repeat(1_000)}\r\n`,
    codes: ["upstream_invalid"],
  },
};

/** Texts that are slow to look through: escapes within escapes, of the secret's own letters and of none. */
const SLOW = ["\\\\\\\\u0072", "%252572", "&amp;amp;#114;", "\\u0026#114;", "\\", "%25", "rk_live_abuse_stag"];

let stage: AbuseStage;
before(async () => {
  stage = await startAbuse(({ url }, response) => {
    const wicked = WICKED[url];
    if (wicked !== undefined) return misbehave(response.socket!, wicked);
    const slow = /^\/slow\/(\d)(\/br)?/.exec(url);
    if (slow !== null) {
      const body = filled(SLOW[Number(slow[1])]!, ANSWER_BYTES);
      return slow[2] === undefined
        ? response.end(body)
        : response.setHeader("content-encoding", "br").end(brotliCompressSync(body));
    }
    response.end(url === "/big" ? Buffer.alloc(ANSWER_BYTES, 97) : "ok");
  }, "{ timeout: 15s, request: 1MiB, response: 4MiB }");
});
after(() => stage?.[Symbol.asyncDispose]());

async function misbehave(socket: Socket, { wire, endless }: (typeof WICKED)[string]): Promise<void> {
  socket.write(wire());
  if (endless === undefined) return void socket.end();
  while (endless !== "" && !socket.destroyed)
    await new Promise((resolve) => (socket.write(endless, resolve) ? undefined : socket.once("close", resolve)));
}

const authorization = () => [["Authorization", `Bearer ${stage.key}`]] as const;
const api = (path: string) =>
  exchangeRaw(stage.daemon.url, requestBytes({ target: `/api/api${path}`, headers: authorization() }));
const mcp = (path: string) =>
  callTool(stage.daemon.url, stage.key, "doorward_request", { service: "api", method: "GET", path });

describe("what is not an answer", { timeout: 120_000 }, () => {
  for (const [path, { codes }] of Object.entries(WICKED)) {
    test(`${path.slice(1)} is ${codes.join(" or ")}`, async () => {
      const [direct, told] = await Promise.all([api(path), mcp(path)]);
      const cut =
        direct === undefined || (direct.status === 200 && !direct.wire.subarray(-5).equals(Buffer.from("0\r\n\r\n")));
      assert.ok(
        codes.includes(cut ? "cut" : String(problemOf(direct).code)),
        `/api: ${direct?.wire.subarray(0, 400).toString("latin1")}`,
      );
      const truncated = told.content["truncated"] === true;
      assert.ok(
        codes.includes(truncated ? "upstream_too_large" : String(told.error.code)),
        `MCP: ${told.http?.body.subarray(0, 400).toString()}`,
      );
      assert.ok(await stage.serves());
    });
  }

  test("each of them has its outcome in the evidence", () => {
    const events = readEvidence(stage.home.home);
    const decided = events.filter(({ type, decision }) => type === "call.decided" && decision === "permit");
    const completed = new Set(
      events.filter(({ type }) => type === "call.completed").map(({ request_id }) => request_id),
    );
    for (const { request_id } of decided) assert.ok(completed.has(request_id));
  });
});

describe("what an answer can cost", { timeout: 180_000 }, () => {
  for (const [index, text] of SLOW.entries()) {
    test(`${text} without end does not hold up the others`, async () => {
      await stage.slowest();
      const answers = await Promise.all([api(`/slow/${index}`), api(`/slow/${index}/br`)]);
      for (const answer of answers) assert.equal(answer?.body.length, filled(text, ANSWER_BYTES).length);
      assert.ok((await stage.slowest()) < LOOP_MS);
    });
  }

  test("large answers for many at once come one after the other", async () => {
    await mcp("/big");
    await stage.slowest();
    const answers = await Promise.all(Array.from({ length: 8 }, () => mcp("/big")));
    for (const answer of answers) assert.equal(answer.content["status"], 200);
    assert.ok((await stage.slowest()) < LOOP_MS);
  });

  test("callers that never read theirs are held to a share of the memory, and the others are served", async () => {
    const port = Number(new URL(stage.daemon.url).port);
    const bytes = toolBytes(stage.key, "doorward_request", '{"service":"api","method":"GET","path":"/big"}');
    const stalled: Socket[] = [];
    const stall = () => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      socket.pause();
      for (const piece of bytes) socket.write(piece);
      stalled.push(socket);
    };
    for (let i = 0; i < 25; i++) stall();
    const memory = await stage.memoryBytes();
    while (stalled.length < READERS_MAX && !(await mcp("/big")).isError) {
      stall();
      await pause(20);
    }
    assert.ok(stalled.length < READERS_MAX, "there is a limit");
    assert.ok((await stage.memoryBytes()) - memory < 1_024 * MEBIBYTE);
    const other = await callTool(stage.daemon.url, stage.otherKey, "doorward_request", {
      service: "api",
      method: "GET",
      path: "/big",
    });
    assert.equal(other.content["status"], 200);
    assert.equal((await mcp("/big")).error.code, "upstream_too_large");
    assert.ok(await stage.serves());
    for (const socket of stalled) socket.destroy();
    let freed = await mcp("/big");
    while (freed.isError) freed = await mcp("/big");
    assert.equal(freed.content["status"], 200);
  });

  test("and the daemon has nothing to confess", () => {
    assert.doesNotMatch(stage.daemon.said(), /internal error/);
  });
});
