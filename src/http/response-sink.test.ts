import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { Problem } from "../base/problem.ts";
import type { AnswerSink } from "../egress/answer.ts";
import { ResponseSink } from "./response-sink.ts";

/** What the next request is answered with; gives the sink and a way to wait for the timer that lets answers flow. */
let answer: (sink: AnswerSink, response: ServerResponse) => void | Promise<void>;
let redacted = 0;

const server = createServer((incoming, response) => {
  const sink = new ResponseSink(response, "req_1");
  sink.call = {
    resume: () => {},
    get redacted() {
      return redacted;
    },
  };
  incoming.resume();
  void answer(sink, response);
});

before(() => new Promise<void>((done) => server.listen(0, "127.0.0.1", done)));
after(() => void server.close());

interface Got {
  readonly status: number | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  readonly trailers: NodeJS.Dict<string>;
  readonly whole: boolean;
}

function get(method = "GET"): Promise<Got> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const sent = request({ port, method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      const done = () =>
        resolve({
          status: response.statusCode,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
          trailers: response.trailers,
          whole: response.complete,
        });
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", () => {});
      response.on("close", done);
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** Until the sink has begun to send, which it does by a timer of its own. */
function sent(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const look = () => (response.headersSent ? resolve() : setImmediate(look));
    look();
  });
}

test("what is being put on record is held, however long that takes: a failure is still a refusal", async () => {
  answer = async (sink) => {
    sink.head({ status: 200, headers: [] });
    sink.data(Buffer.from("part"));
    sink.settling?.();
    await new Promise((resolve) => setTimeout(resolve, 30));
    sink.fail(new Problem("upstream_too_large"));
  };
  const { status, body } = await get();
  assert.equal(status, 502);
  assert.match(body, /upstream_too_large/);
});

test("a small answer is one write with its length", async () => {
  answer = (sink) => {
    sink.head({ status: 201, headers: [["content-type", "text/plain"]], lengthBytes: 5 });
    sink.data(Buffer.from("he"));
    sink.data(Buffer.from("llo"));
    sink.end();
  };
  const { status, headers, body, whole } = await get();
  assert.deepEqual([status, body, whole], [201, "hello", true]);
  assert.equal(headers["content-length"], "5");
  assert.equal(headers["doorward-request-id"], "req_1");
  assert.equal(headers["trailer"], undefined);
});

test("what was taken out before the head is a header, what comes later a trailer", async () => {
  redacted = 2;
  answer = (sink) => {
    sink.head({ status: 200, headers: [], lengthBytes: 0 });
    sink.end();
  };
  assert.equal((await get()).headers["doorward-redacted"], "2");
  redacted = 0;
  answer = async (sink, response) => {
    sink.head({ status: 200, headers: [] });
    await sent(response);
    sink.data(Buffer.from("x"));
    redacted = 1;
    sink.end();
    redacted = 0;
  };
  const { headers, trailers, body } = await get();
  assert.equal(headers["trailer"], "Doorward-Redacted");
  assert.deepEqual([trailers["doorward-redacted"], body], ["1", "x"]);
});

for (const [method, status, lengthBytes] of [
  ["GET", 204, undefined],
  ["GET", 304, undefined],
  ["HEAD", 200, undefined],
  ["HEAD", 200, 1_000_000],
] as const) {
  test(`${method} ${status} of length ${lengthBytes}, whose outcome takes its time: no trailer, and no throw`, async () => {
    answer = async (sink, response) => {
      sink.head({ status, headers: [["etag", '"x"']], lengthBytes });
      await sent(response);
      sink.end();
    };
    const got = await get(method);
    assert.deepEqual(
      [got.status, got.headers["etag"], got.headers["trailer"], got.whole],
      [status, '"x"', undefined, true],
    );
  });
}

test("a refusal before the head is a whole one; after it the connection is cut", async () => {
  answer = (sink) => sink.fail(new Problem("upstream_timeout"));
  const refused = await get();
  assert.deepEqual([refused.status, JSON.parse(refused.body).code], [504, "upstream_timeout"]);

  answer = (sink) => {
    sink.head({ status: 200, headers: [], lengthBytes: 3 });
    sink.data(Buffer.from("abc"));
    sink.fail(new Problem("killed"));
  };
  assert.equal((await get()).status, 403, "nothing of the held answer is let out");

  answer = async (sink, response) => {
    sink.head({ status: 200, headers: [["content-type", "text/event-stream"]] });
    sink.data(Buffer.from("data: 1\n\n"));
    await sent(response);
    sink.fail(new Problem("killed"));
  };
  const cut = await get();
  assert.deepEqual([cut.status, cut.whole], [200, false]);
});

test("more than 64 KiB is not held: it flows before its end", async () => {
  const chunk = Buffer.alloc(40_000, "x");
  answer = (sink, response) => {
    sink.head({ status: 200, headers: [], lengthBytes: undefined });
    sink.data(chunk);
    assert.equal(response.headersSent, false);
    sink.data(chunk);
    assert.equal(response.headersSent, true);
    sink.end();
  };
  assert.equal((await get()).body.length, 80_000);
});

test("a caller that is gone is told nothing, and nothing throws", async () => {
  let over: Promise<unknown> = Promise.resolve();
  answer = (sink, response) => {
    over = new Promise((resolve) => response.on("close", resolve)).then(() => {
      sink.head({ status: 200, headers: [], lengthBytes: 1 });
      assert.equal(sink.data(Buffer.from("x")), true);
      sink.end();
    });
    response.destroy();
  };
  await assert.rejects(get());
  await over;
});

test("an answer that was made ready is the same answer, and a refusal all the same where it fails", async () => {
  for (const chunks of [[], ["one"], ["one", " and two"], ["x".repeat(20_000)]]) {
    const say = (sink: AnswerSink, ready: boolean) => {
      sink.head({ status: 201, headers: [["content-type", "text/plain"]], lengthBytes: chunks.join("").length });
      for (const chunk of chunks) sink.data(Buffer.from(chunk));
      sink.settling?.();
      if (ready) sink.meanwhile?.();
    };
    const answers: Got[] = [];
    for (const ready of [false, true]) {
      answer = (sink) => {
        say(sink, ready);
        sink.end();
      };
      answers.push(await get());
    }
    const [plain, prepared] = answers.map(({ headers: { date: _, ...headers }, ...rest }) => ({ ...rest, headers }));
    assert.deepEqual(prepared, plain);
    answer = (sink) => {
      say(sink, true);
      sink.fail(new Problem("internal_error"));
    };
    const failed = await get();
    assert.deepEqual([failed.status, failed.body.includes("one")], [500, false]);
  }
});
