/** The way out of a sandbox, with each of its bridges: connections, bytes and ends arrive as they were sent. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { cannotRun, endOf, folders, found, PATH, specOf } from "./live-sandbox.ts";

const socket = join(folders.base, "bridge.sock");

/** Runs inside, and prints what came of each. */
const CLIENT = `
const net = require("node:net");
const open = (word) => {
  const connection = net.connect({ host: "127.0.0.1", port: 3128, allowHalfOpen: true });
  connection.write(word + "\\n");
  return connection;
};
const whole = (connection) => new Promise((done) => {
  const all = [];
  connection.on("data", (chunk) => all.push(chunk));
  connection.on("end", () => done(Buffer.concat(all)));
  connection.on("error", (error) => done(Buffer.from(error.code)));
});
const megabyte = async (seed) => {
  const sent = Buffer.alloc(2 ** 20 + seed, seed);
  const connection = open("echo");
  const got = whole(connection);
  connection.end(sent);
  return (await got).equals(sent);
};
const hold = (connection) => new Promise((done) => {
  connection.once("data", () => done(true));
  connection.once("error", () => done(false));
  connection.once("end", () => done(false));
});
(async () => {
  const many = await Promise.all(Array.from({ length: 40 }, (_, at) => megabyte(at + 1)));
  const first = open("last");
  const last = String(await whole(first));
  first.end();
  const cut = (await whole(open("cut"))).length < 20;
  const held = Array.from({ length: 300 }, () => open("hold"));
  const kept = (await Promise.all(held.map(hold))).filter(Boolean).length;
  for (const one of held) one.destroy();
  let again = false;
  for (let tries = 0; tries < 100 && !again; tries++) again = await megabyte(7);
  console.log(JSON.stringify({ arrived: many.filter(Boolean).length, last, cut, kept: kept > 200 && kept <= 256, again }));
})();
`;

describe("the bridge", { skip: cannotRun }, () => {
  let server: Server;
  before(async () => {
    server = createServer({ allowHalfOpen: true }, (peer) => {
      peer.on("error", () => {});
      peer.once("data", (first) => answer(peer, first));
    });
    await new Promise<void>((resolve) => void server.listen(socket, resolve));
  });
  after(() => {
    server.close();
    rmSync(socket, { force: true });
  });

  for (const perl of [true, false]) {
    const skip = perl && !(found.ok && found.bubblewrap.perl) ? "NOT TESTED: perl is not installed" : false;
    const detect = async () => (found.ok ? { ...found, bubblewrap: { ...found.bubblewrap, perl } } : found);
    const sandbox = createSandbox({ home: folders.home, path: PATH, detect });
    for (const [how, command] of [
      ["beside a Node program", ["node", "-e", CLIENT]],
      ["before any other", ["/bin/sh", "-c", 'exec node -e "$0"', CLIENT]],
    ] as const) {
      test(`${perl ? "perl's" : "Node's"}, ${how}`, { skip, timeout: 60_000 }, async () => {
        const config = { memoryBytes: 2 ** 29, processes: 32 };
        const { out, err } = await endOf(await sandbox.start(specOf([...command], { proxySocket: socket, config })));
        const wanted = { arrived: 40, last: "bye", cut: true, kept: true, again: true };
        assert.equal(out, `${JSON.stringify(wanted)}\n`, err);
      });
    }
  }
});

/** What the first line asks for. */
function answer(peer: Socket, first: Buffer): void {
  const line = first.indexOf("\n");
  switch (first.toString("latin1", 0, line)) {
    case "echo":
      peer.write(first.subarray(line + 1));
      peer.pipe(peer);
      return;
    case "last":
      peer.end("bye");
      return;
    case "cut":
      peer.destroy();
      return;
    default:
      peer.write("held");
      peer.on("end", () => peer.end());
      peer.resume();
  }
}
