import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Problem } from "../base/problem.ts";
import { refuseRequest } from "./refuse-request.ts";

test("a refusal is whole at once, and the connection outlives a body that is still coming", async (t) => {
  const server = createServer((request, response) => refuseRequest(request, response, new Problem("denied"), "req_1"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  t.after(() => {
    socket.destroy();
    server.close();
  });
  let text = "";
  let ended = false;
  socket.on("end", () => {
    ended = true;
  });
  socket.write("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.endsWith("}}")) break;
  }
  assert.match(text, /^HTTP\/1\.1 403 [\s\S]*connection: close[\s\S]*"code":"denied"/i);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  assert.equal(ended, false, "closed under a client that writes");
  const end = once(socket, "end");
  socket.resume();
  socket.write("cde");
  await end;
});
