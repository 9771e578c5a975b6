/** Answers that flow: each part is there before the next one is sent. */
import assert from "node:assert/strict";
import { get, type IncomingMessage, type ServerResponse } from "node:http";
import { after, before, describe, test } from "node:test";
import { makeHome, startDaemon, type TestDaemon, type TestHome, until } from "../harness/daemon.testing.ts";
import { type Double, startDouble } from "../harness/double.testing.ts";
import { run } from "../harness/run.testing.ts";

const SECRET = "stream-secret-0a1b2c3d4e5f";

const stack = new AsyncDisposableStack();
let opened: PromiseWithResolvers<ServerResponse>;
let upstream: Double;
let home: TestHome;
let daemon: TestDaemon;

before(async () => {
  upstream = stack.use(
    await startDouble((request, response) => {
      const type = request.url.includes("events") ? "text/event-stream" : "application/x-ndjson";
      response.writeHead(200, { "content-type": type, "cache-control": "no-cache" });
      response.flushHeaders();
      opened.resolve(response);
    }),
  );
  const config = `version: 1
services:
  feed:
    url: ${upstream.url}
    private: true
    credential: { kind: bearer, secret: "local:feed" }
    operations: { all: { effect: read, allow: ["GET /{path...}"] } }
roles: { user: { allow: ["*"] } }
agents: { bot: { roles: [user] } }
`;
  home = stack.use(await makeHome({ config, secrets: { feed: SECRET }, agents: ["bot"] }));
  daemon = stack.use(await startDaemon(home));
});
after(() => stack.disposeAsync());

async function start(path: string, signal?: AbortSignal) {
  opened = Promise.withResolvers();
  const options = {
    headers: { authorization: `Bearer ${home.key("bot")}` },
    ...(signal === undefined ? {} : { signal }),
  };
  const [answer, up] = await Promise.all([fetch(`${daemon.url}/api/feed/${path}`, options), opened.promise]);
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const readUntil = async (wanted: string) => {
    while (!text.includes(wanted)) {
      const { done, value } = await reader.read();
      assert.equal(done, false, `the answer ended before ${JSON.stringify(wanted)}: ${JSON.stringify(text)}`);
      text += value;
    }
    return text;
  };
  return { answer, up, reader, readUntil };
}

const outcomesOf = async (requestId: string) => {
  const { stdout } = await home.cli(["audit", "search", "--request", requestId, "--json"]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
};

describe("an answer that flows", () => {
  for (const path of ["events", "lines"]) {
    test(`${path}: the head comes before any part, each part before the next one is sent`, async () => {
      const { answer, up, reader, readUntil } = await start(path);
      assert.equal(answer.status, 200);
      for (let i = 0; i < 5; i++) {
        up.write(`data: part ${i}\n\n`);
        await readUntil(`data: part ${i}\n\n`);
      }
      up.end("data: last\n\n");
      await readUntil("data: last\n\n");
      assert.equal((await reader.read()).done, true);
    });
  }

  test("a key that is pulled apart over two parts is taken out, and nothing else is held back for long", async () => {
    const { up, reader, readUntil } = await start("events");
    up.write(`data: ${SECRET.slice(0, 10)}`);
    up.write(`${SECRET.slice(10)}\n\ndata: after\n\n`);
    const text = await readUntil("data: after\n\n");
    assert.ok(!text.includes(SECRET));
    assert.match(text, /\[redacted\]/);
    up.end();
    assert.equal((await reader.read()).done, true);
  });

  test("what was taken out after the head was sent is counted in a trailer", async () => {
    opened = Promise.withResolvers();
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = { authorization: `Bearer ${home.key("bot")}` };
    get(`${daemon.url}/api/feed/events`, { headers, agent: false }, resolve).on("error", reject);
    const [answer, up] = await Promise.all([promise, opened.promise]);
    assert.equal(answer.headers["doorward-redacted"], undefined);
    up.end(`data: ${SECRET} and ${SECRET}\n\n`);
    let text = "";
    for await (const chunk of answer) text += String(chunk);
    assert.ok(!text.includes(SECRET));
    assert.equal(answer.trailers["doorward-redacted"], "2");
  });

  test("a kill cuts it; the outcome says so", async () => {
    const { answer, up, reader, readUntil } = await start("events");
    up.write("data: first\n\n");
    await readUntil("data: first\n\n");
    const killed = await home.json<{ streams_cut: number }>(["kill", "service:feed", "--why", "test"]);
    assert.equal(killed.streams_cut, 1);
    await assert.rejects(reader.read());
    const events = await outcomesOf(answer.headers.get("doorward-request-id")!);
    assert.deepEqual(
      events.map(({ type, code }) => [type, code ?? null]),
      [
        ["call.decided", null],
        ["call.completed", "killed"],
      ],
    );
    await home.json(["resume", "service:feed", "--why", "test"]);
  });

  test("a caller that leaves ends the vendor's side too; the outcome says so", async () => {
    const leaving = new AbortController();
    const { answer, up, readUntil } = await start("events", leaving.signal);
    up.write("data: first\n\n");
    await readUntil("data: first\n\n");
    const closed = new Promise((resolve) => up.on("close", resolve));
    leaving.abort();
    await closed;
    const id = answer.headers.get("doorward-request-id")!;
    const events = await until(
      () => outcomesOf(id),
      (found) => found.length === 2,
    );
    assert.equal(events[1]?.["code"], "client_closed");
  });

  test("an upstream that breaks off breaks the answer off", async () => {
    const { up, reader, readUntil } = await start("lines");
    up.write("one\n");
    await readUntil("one\n");
    up.destroy();
    await assert.rejects(reader.read());
  });

  test("curl -N prints an event as it comes", async () => {
    opened = Promise.withResolvers();
    const curl = run("curl", [
      "-sN",
      "--noproxy",
      "*",
      "-H",
      `Authorization: Bearer ${home.key("bot")}`,
      `${daemon.url}/api/feed/events`,
    ]).catch(() => undefined);
    const up = await Promise.race([opened.promise, curl.then(() => undefined)]);
    up?.end("data: only\n\n");
    const ran = await curl;
    if (ran !== undefined) assert.equal(ran.stdout, "data: only\n\n");
  });
});
