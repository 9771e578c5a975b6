import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, mock, test } from "node:test";
import { Problem } from "../base/problem.ts";
import { listenSocket, listenTcp } from "./listen.ts";

afterEach(() => mock.timers.reset());

const LOCAL = { host: "127.0.0.1", port: 0, tls: undefined, broken: () => {} };

test("a place that is taken is a problem that names it", async () => {
  const first = await listenTcp(() => {}, LOCAL);
  const port = Number(new URL(first.address).port);
  await assert.rejects(
    listenTcp(() => {}, { ...LOCAL, port }),
    (error) =>
      error instanceof Problem && error.message.includes(`127.0.0.1:${port}`) && /EADDRINUSE/.test(error.message),
  );
  await first.close();
});

test("closing waits for the answer under way, which is the last of its connection", async () => {
  const begun = Promise.withResolvers<ServerResponse>();
  const listener = await listenTcp((_, response) => begun.resolve(response), LOCAL);
  const agent = new Agent({ keepAlive: true });
  const answered = new Promise<string>((resolve, reject) => {
    get(listener.address, { agent }, (response) => {
      response.resume();
      response.on("end", () => resolve(String(response.headers.connection)));
    }).on("error", reject);
  });
  const response = await begun.promise;
  let closed = false;
  const closing = listener.close().then(() => {
    closed = true;
  });
  // This response was made while the listener was open: its connection is ended once it is idle.
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(closed, false);
  response.end("done");
  assert.equal(await answered, "keep-alive");
  await closing;
  agent.destroy();
});

test("what is not HTTP is refused in the contract's form, on record, and the connection ends whatever the peer does", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const told: string[] = [];
  const listener = await listenTcp(() => {}, {
    ...LOCAL,
    broken: ({ code }, _, ip) => void told.push(`${code} ${ip}`),
  });
  const socket = connect({ port: Number(new URL(listener.address).port), host: "127.0.0.1", allowHalfOpen: true });
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => {});
  socket.write("not http\r\n\r\n");
  await new Promise((resolve) => socket.on("end", resolve));
  assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/);
  assert.match(text, /Doorward-Error: invalid_request\r\n/);
  assert.match(text, /Connection: close\r\n/);
  assert.deepEqual(told, ["invalid_request 127.0.0.1"]);
  // Our half stays open on purpose: it is cut after a while.
  mock.timers.tick(2_000);
  await listener.close();
  socket.destroy();
});

test("the local socket is this account's alone, and replaces one that a crash left behind", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dw-listen-"));
  const path = join(folder, "s");
  for (let i = 0; i < 2; i++) {
    const listener = await listenSocket(
      (_, response) => response.end("x"),
      path,
      () => {},
    );
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await listener.close();
  }
  await rm(folder, { recursive: true });
});
