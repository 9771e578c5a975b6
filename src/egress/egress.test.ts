import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Problem } from "../base/problem.ts";
import {
  answer,
  type RawConnection,
  rawUpstream,
  requestTo,
  run,
  settled,
  testEgress,
  wordScrubber,
} from "./egress.testing.ts";
import type { OutboundRequest } from "./outbound-request.ts";

/** Some turns of the event loop: a connection that has answered is free again only then. */
async function turns(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await new Promise(setImmediate);
}

/** One call to an upstream that answers each request with these bytes. */
async function call(t: TestContext, bytes: string | Buffer, parts: Partial<OutboundRequest> = {}) {
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(bytes));
  return { ...(await run(testEgress(t), requestTo(upstream.origin, parts))), upstream };
}

const code = ({ problem }: { problem: Problem | undefined }) => problem?.code;

test("what was decided on is what is sent, byte for byte", async (t) => {
  const { upstream, body, head } = await call(t, answer("yes"), {
    method: "POST",
    path: "/v1/a%2fb/%7Ec/d;e=f,g?x=%20+&&y=[]&z",
    headers: [
      ["x-one", "1, 2"],
      ["x-one", "caf\u00e9"],
      ["content-type", "application/json"],
    ],
    body: Buffer.from('{"a": 1}'),
  });
  assert.equal(
    upstream.requests[0],
    [
      "POST /v1/a%2fb/%7Ec/d;e=f,g?x=%20+&&y=[]&z HTTP/1.1",
      `host: ${upstream.origin.slice(7)}`,
      "connection: keep-alive",
      "user-agent: doorward/test",
      "x-one: 1, 2",
      "x-one: caf\u00e9",
      "content-type: application/json",
      "accept-encoding: gzip, br",
      "content-length: 8",
      "",
      '{"a": 1}',
    ].join("\r\n"),
  );
  assert.equal(head?.status, 200);
  assert.equal(body.toString(), "yes");
});

test("with a range, no encoding is offered", async (t) => {
  const { upstream } = await call(t, answer("x"), { headers: [["range", "bytes=0-1"]], rangesAllowed: true });
  assert.match(upstream.requests[0]!, /accept-encoding: identity\r\n/);
});

test("a header that is Doorward's own never comes from elsewhere", async (t) => {
  for (const name of ["host", "Content-Length", "transfer-encoding", "connection", "expect", "accept-encoding"]) {
    const outcome = await call(t, answer("x"), { headers: [[name, "1"]] });
    assert.equal(code(outcome), "internal_error", name);
    assert.equal(outcome.upstream.requests.length, 0, name);
  }
});

test("what HTTP cannot carry is refused, and nothing is sent", async (t) => {
  const impossible: Partial<OutboundRequest>[] = [
    { headers: [["x-a", "b\r\nx-c: d"]] },
    { headers: [["x a", "b"]] },
    { headers: [["x-a", "\u20ac"]] },
    { path: "/v1/a b" },
    { path: "/v1/\u20ac" },
    { path: "/v1/a\r\nb" },
    { path: "http://elsewhere.example/" },
    { method: "GET /x" },
  ];
  for (const parts of impossible) {
    const outcome = await call(t, answer("x"), parts);
    assert.equal(code(outcome), "invalid_request", JSON.stringify(parts));
    assert.equal(outcome.upstream.sockets.flatMap((socket) => socket.bytesRead).join(), "", JSON.stringify(parts));
  }
});

test("a redirect is the answer", async (t) => {
  const { upstream, head } = await call(
    t,
    "HTTP/1.1 302 Found\r\nlocation: /v1/other?b=2#c\r\ncontent-length: 0\r\n\r\n",
  );
  assert.equal(head?.status, 302);
  assert.deepEqual(head?.headers, [["location", "/api/things/other?b=2#c"]]);
  assert.equal(upstream.requests.length, 1);
});

test("an answer passes whatever its framing", async (t) => {
  const chunked =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nx-trailer: 1\r\n\r\n";
  assert.equal((await call(t, chunked)).body.toString(), "abcd");
  const upstream = await rawUpstream(t, ({ socket }) => socket.end("HTTP/1.0 200 OK\r\n\r\nuntil the end"));
  assert.equal((await run(testEgress(t), requestTo(upstream.origin))).body.toString(), "until the end");
  const interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
  assert.equal((await call(t, interim + answer("after"))).body.toString(), "after");
});

test("HEAD, 204 and 304 have no body, whatever their headers say", async (t) => {
  const head = await call(t, "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\ncontent-encoding: gzip\r\n\r\n", {
    method: "HEAD",
  });
  assert.deepEqual([code(head), head.head?.status, head.body.length], [undefined, 200, 0]);
  for (const status of [204, 304]) {
    const outcome = await call(t, `HTTP/1.1 ${status} X\r\ncontent-length: 5\r\netag: "a"\r\n\r\nhello`);
    assert.deepEqual([code(outcome), outcome.head?.status, outcome.body.length], [undefined, status, 0]);
  }
});

test("an empty body that claims an encoding is empty", async (t) => {
  const outcome = await call(t, "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n");
  assert.deepEqual([code(outcome), outcome.body.length], [undefined, 0]);
});

test("only the safe headers pass", async (t) => {
  const { head } = await call(
    t,
    answer("x", [
      "Content-Type: text/plain",
      "Set-Cookie: a=b",
      "WWW-Authenticate: Basic",
      "Server: me",
      "X-RateLimit-Remaining: 5",
      "ratelimit-policy: 10;w=1",
      "x-ratelimit-remaining-tokens: 7",
      "x-ratelimit-hunter2: 1",
      "Vary: a",
      "Vary: b",
      "Content-Range: bytes 0-1/2",
      "Doorward-Redacted: 7",
      "__proto__: 1",
      "etag: \u00e9",
    ]),
  );
  assert.deepEqual(head?.headers, [
    ["content-type", "text/plain"],
    ["x-ratelimit-remaining", "5"],
    ["ratelimit-policy", "10;w=1"],
    ["x-ratelimit-remaining-tokens", "7"],
    ["vary", "a"],
    ["vary", "b"],
  ]);
});

test("headers and body pass through the scrubber, and the redactions are counted", async (t) => {
  const answered = answer("hunter2 and hunter2", ["x-request-id: hunter2", "location: http://127.0.0.1:1/v1/hunter2"]);
  let atHead = -1;
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answered));
  const outcome = await run(testEgress(t), requestTo(upstream.origin, { scrubber: wordScrubber("hunter2") }), {
    head: (_head, exchange) => {
      atHead = exchange.redacted;
    },
  });
  assert.deepEqual(outcome.head?.headers, [["x-request-id", "[redacted]"]]);
  assert.equal(outcome.body.toString(), "[redacted] and [redacted]");
  assert.deepEqual([atHead, outcome.exchange.redacted], [1, 3]);
});

test("a URL parser cannot put a secret together that stood apart in a Location", async (t) => {
  const outcome = await call(t, answer("", ["location: /v1/hun\tter2"]), { scrubber: wordScrubber("hunter2") });
  assert.deepEqual(outcome.head?.headers, [["location", "/api/things/[redacted]"]]);
});

test("an answer that breaks HTTP's rules is invalid", async (t) => {
  const broken: Record<string, string> = {
    "no HTTP at all": "SSH-2.0-OpenSSH_9\r\n\r\n",
    "two lengths": "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length and chunks": "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bad header": "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "a folded header": "HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "status 99": "HTTP/1.1 99 Hm\r\ncontent-length: 0\r\n\r\n",
    "status 600": "HTTP/1.1 600 Hm\r\ncontent-length: 0\r\n\r\n",
    "status 1000": "HTTP/1.1 1000 Hm\r\ncontent-length: 0\r\n\r\n",
    "an upgrade": "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    "101 without upgrade": "HTTP/1.1 101 Switching\r\n\r\n",
    "an unknown encoding": answer("x", ["content-encoding: compress"]).toString(),
    "three encodings": answer("x", ["content-encoding: gzip, gzip, gzip"]).toString(),
    "a part nobody asked for": "HTTP/1.1 206 Partial\r\ncontent-range: bytes 0-1/9\r\ncontent-length: 2\r\n\r\nab",
    "parts nobody asked for": answer("x", ["content-type: Multipart/ByteRanges; boundary=x"]).toString(),
    "too many headers": answer(
      "x",
      Array.from({ length: 300 }, (_, i) => `x-${i}: 1`),
    ).toString(),
    "too large a header": answer("x", [`x-a: ${"a".repeat(70_000)}`]).toString(),
  };
  for (const [name, bytes] of Object.entries(broken)) {
    const outcome = await call(t, bytes);
    assert.equal(code(outcome), "upstream_invalid", name);
    assert.equal(outcome.head, undefined, `${name}: a head passed`);
  }
});

test("a flood of interim answers is invalid", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => {
    const flood = () => {
      while (!socket.destroyed && socket.write("HTTP/1.1 102 Processing\r\nx: y\r\n\r\n".repeat(100)));
    };
    socket.on("drain", flood);
    flood();
  });
  assert.equal(code(await run(testEgress(t), requestTo(upstream.origin))), "upstream_invalid");
});

test("a part passes where ranges are allowed", async (t) => {
  const outcome = await call(t, "HTTP/1.1 206 P\r\ncontent-range: bytes 0-1/9\r\ncontent-length: 2\r\n\r\nab", {
    rangesAllowed: true,
  });
  assert.deepEqual([outcome.head?.status, outcome.body.toString()], [206, "ab"]);
  assert.deepEqual(outcome.head?.headers, [["content-range", "bytes 0-1/9"]]);
});

test("a body that breaks off, or off its framing, is invalid", async (t) => {
  for (const bytes of [
    "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nshort\r\n",
  ]) {
    const upstream = await rawUpstream(t, ({ socket }) => socket.end(bytes));
    const outcome = await run(testEgress(t), requestTo(upstream.origin));
    assert.equal(code(outcome), "upstream_invalid");
    assert.equal(outcome.head?.status, 200);
  }
});

test("a body longer than its length is cut to it, and the rest is nobody's answer", async (t) => {
  const smuggled = `${answer("first")}${answer("smuggled")}`;
  const upstream = await rawUpstream(t, ({ socket, total }) => socket.write(total === 1 ? smuggled : answer("second")));
  const egress = testEgress(t);
  assert.equal((await run(egress, requestTo(upstream.origin))).body.toString(), "first");
  const next = await run(egress, requestTo(upstream.origin));
  assert.equal(next.body.toString(), "second");
});

test("an endless body is cut at the limit, and its connection too", async (t) => {
  for (const [overLimit, length] of [
    ["refuse", 0],
    ["cut", 100_000],
  ] as const) {
    let closed: Promise<unknown> | undefined;
    const upstream = await rawUpstream(t, ({ socket }) => {
      closed = new Promise((resolve) => socket.on("close", resolve));
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const pour = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(16_384, "x")));
      };
      socket.on("drain", pour);
      pour();
    });
    const outcome = await run(testEgress(t), requestTo(upstream.origin, { responseBytes: 100_000, overLimit }));
    assert.equal(code(outcome), "upstream_too_large");
    assert.ok(outcome.body.length <= 100_000);
    if (overLimit === "cut") assert.equal(outcome.body.length, length);
    await closed;
  }
});

test("a declared length over the limit refuses before the head, or is cut", async (t) => {
  const big = answer("x".repeat(5_000));
  const refused = await call(t, big, { responseBytes: 4_999 });
  assert.deepEqual([code(refused), refused.head], ["upstream_too_large", undefined]);
  const cut = await call(t, big, { responseBytes: 4_999, overLimit: "cut" });
  assert.deepEqual([code(cut), cut.body.length], ["upstream_too_large", 4_999]);
  const whole = await call(t, big, { responseBytes: 5_000 });
  assert.deepEqual([code(whole), whole.body.length], [undefined, 5_000]);
});

test("what the scrubber keeps back when an answer is cut never comes out", async (t) => {
  const outcome = await call(t, answer("hunter2"), {
    responseBytes: 6,
    overLimit: "cut",
    scrubber: wordScrubber("hunter2"),
  });
  assert.deepEqual([code(outcome), outcome.body.toString()], ["upstream_too_large", ""]);
});

test("the deadline covers silence, a slow drip and a slow reader", async (t) => {
  const upstream = await rawUpstream(t, ({ socket, request }) => {
    if (request.startsWith("GET /v1/silent")) return;
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    const drip = setInterval(() => socket.write("."), 5);
    socket.on("close", () => clearInterval(drip));
  });
  const egress = testEgress(t);
  const silent = await run(egress, requestTo(upstream.origin, { path: "/v1/silent", timeoutMs: 60 }));
  assert.deepEqual([code(silent), silent.head], ["upstream_timeout", undefined]);
  const dripped = await run(egress, requestTo(upstream.origin, { timeoutMs: 60 }));
  assert.equal(code(dripped), "upstream_timeout");
  const slow = await run(egress, requestTo(upstream.origin, { timeoutMs: 60 }), { data: () => false });
  assert.equal(code(slow), "upstream_timeout");
});

test("a reader that pauses stops the upstream, and gets all of it in the end", async (t) => {
  const total = 64 * 1024 * 1024;
  let written = 0;
  const upstream = await rawUpstream(t, ({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`);
    const pour = () => {
      while (written < total) {
        written += 65_536;
        if (!socket.write(Buffer.alloc(65_536, "x"))) return;
      }
    };
    socket.on("drain", pour);
    pour();
  });
  let received = 0;
  let paused = false;
  let writtenAtPause = 0;
  const outcome = await run(testEgress(t), requestTo(upstream.origin, { responseBytes: total }), {
    data: (chunk, exchange) => {
      assert.ok(!paused, "data came during a pause");
      received += chunk.length;
      if (writtenAtPause > 0) return true;
      paused = true;
      void settled(() => written).then((stalledAt) => {
        writtenAtPause = stalledAt;
        paused = false;
        exchange.resume();
      });
      return false;
    },
  });
  assert.equal(outcome.problem, undefined);
  assert.equal(received, total);
  assert.ok(writtenAtPause < total / 2, `the upstream could write ${writtenAtPause} bytes into a pause`);
});

test("chunks of one byte arrive joined, in order, and events of a stream at once", async (t) => {
  const text = Array.from({ length: 5_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
  const framed = [...text].map((char) => `1\r\n${char}\r\n`).join("");
  const outcome = await call(t, `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${framed}0\r\n\r\n`);
  assert.equal(outcome.body.toString(), text);
  assert.ok(outcome.chunks.length < 50, `${outcome.chunks.length} chunks`);

  const upstream = (await rawUpstream(t, ({ socket }) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n");
    socket.on("data", () => {});
    upstream.next = () => socket.end("data: 2\n\n");
  })) as Awaited<ReturnType<typeof rawUpstream>> & { next?: () => void };
  const events: string[] = [];
  await run(testEgress(t), requestTo(upstream.origin), {
    data: (chunk) => {
      events.push(Buffer.from(chunk).toString());
      if (events.length === 1) upstream.next?.();
      return true;
    },
  });
  assert.deepEqual(events, ["data: 1\n\n", "data: 2\n\n"]);
});

test("a connection that closes without an answer is a service that was not reached", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => socket.destroy());
  assert.equal(code(await run(testEgress(t), requestTo(upstream.origin))), "upstream_unreachable");
  assert.equal(upstream.requests.length, 1);
});

for (const method of ["POST", "GET", "PUT", "PATCH", "DELETE"]) {
  test(`a ${method} that meets a dying kept-alive connection is not sent twice`, async (t) => {
    const respond = ({ socket, count }: RawConnection) => {
      if (count === 1) socket.write(answer("first"));
      else socket.destroy();
    };
    const upstream = await rawUpstream(t, respond);
    const egress = testEgress(t);
    const request = requestTo(upstream.origin, {
      method,
      ...(method.startsWith("P") ? { body: Buffer.from("pay") } : {}),
    });
    assert.equal(code(await run(egress, request)), undefined);
    await turns();
    const outcome = await run(egress, request);
    assert.equal(upstream.sockets.length, 1, "the second call went another way");
    assert.equal(code(outcome), "upstream_unreachable");
    await turns();
    assert.equal(upstream.requests.length, 2);
  });
}

test("connections are kept and shared", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer("x")));
  const egress = testEgress(t);
  for (let i = 0; i < 5; i += 1) {
    await run(egress, requestTo(upstream.origin));
    await turns();
  }
  assert.equal(upstream.sockets.length, 1);
});

test("many calls at once each get their own answer", async (t) => {
  const server = createServer((request, response) => response.end(request.url));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const egress = testEgress(t);
  const calls = Array.from({ length: 600 }, (_, i) => run(egress, requestTo(origin, { path: `/v1/${i}` })));
  const outcomes = await Promise.all(calls);
  for (const [i, outcome] of outcomes.entries()) assert.equal(outcome.body.toString(), `/v1/${i}`);
});

test("a call that is given up while it waits for a connection is never sent", async (t) => {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer("x")));
  const egress = testEgress(t, { resolve: () => gate.then(() => ["127.0.0.1"]) });
  const origin = upstream.origin.replace("127.0.0.1", "things.example");
  const outcome = run(egress, requestTo(origin, { timeoutMs: 20 }));
  assert.equal(code(await outcome), "upstream_timeout");
  release();
  assert.equal(code(await run(egress, requestTo(origin, { path: "/v1/second" }))), undefined);
  assert.deepEqual(
    upstream.requests.map((request) => request.split(" ")[1]),
    ["/v1/second"],
  );
});

test("an abort ends the sink once, with its problem, and closes the upstream's socket", async (t) => {
  for (const framing of ["content-length: 1000000", "transfer-encoding: chunked", "connection: close"]) {
    let closed: Promise<unknown> | undefined;
    const upstream = await rawUpstream(t, ({ socket }) => {
      closed = new Promise((resolve) => socket.on("close", resolve));
      socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n5\r\nhello\r\n`);
    });
    const killed = new Problem("killed");
    const egress = testEgress(t);
    const outcome = await run(egress, requestTo(upstream.origin), {
      data: (_chunk, exchange) => {
        exchange.abort(killed);
        exchange.abort(new Problem("internal_error"));
        return true;
      },
    });
    assert.equal(outcome.problem, killed, framing);
    await closed;
  }
});

test("a sink that throws ends its call, not the process", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer("x")));
  const egress = testEgress(t);
  const thrower = () => {
    throw new Error("a fault of ours");
  };
  assert.equal(code(await run(egress, requestTo(upstream.origin), { head: thrower })), "internal_error");
  assert.equal(code(await run(egress, requestTo(upstream.origin), { data: thrower })), "internal_error");
  assert.equal(code(await run(egress, requestTo(upstream.origin))), undefined);
});

test("plain HTTP goes to private services alone", async (t) => {
  const egress = testEgress(t, { resolve: async () => ["93.184.215.14"] });
  const target = { origin: "http://public.example", private: false, ca: undefined };
  assert.equal(code(await run(egress, requestTo("", { target }))), "upstream_forbidden_address");
});

test("a call that is over leaves no deadline behind", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer("x")));
  const deadlines = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const egress = testEgress(t);
  const before = deadlines();
  for (let i = 0; i < 20; i += 1) await run(egress, requestTo(upstream.origin));
  assert.ok(deadlines() - before < 5, `${deadlines() - before} are left`);
});

test("a way out that is closed sends nothing and says so", async (t) => {
  const upstream = await rawUpstream(t, () => {});
  const egress = testEgress(t);
  const underWay = run(egress, requestTo(upstream.origin));
  await once(upstream.server, "connection");
  await egress[Symbol.asyncDispose]();
  assert.equal(code(await underWay), "upstream_unreachable");
  assert.equal(code(await run(egress, requestTo(upstream.origin))), "upstream_unreachable");
});
