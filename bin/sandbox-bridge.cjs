// Runs inside a sandbox, alone in its network: what connects to 127.0.0.1:PORT is led to the unix socket of the egress
// proxy. Says `ready` and closes its output once it listens, and makes a file, so that whoever waits for it goes on.
"use strict";
const { closeSync, openSync, writeSync } = require("node:fs");
const net = require("node:net");

const [port = "", socket = ""] = process.argv.slice(2);
/** More connections at once than any server needs; the proxy has its own limit. */
const CONNECTIONS = 256;

const server = net.createServer({ allowHalfOpen: true }, (near) => {
  const far = net.connect({ path: socket, allowHalfOpen: true });
  near.pipe(far).pipe(near);
  near.on("error", () => far.destroy());
  far.on("error", () => near.destroy());
  near.on("close", () => far.destroy());
  far.on("close", () => near.destroy());
});
server.maxConnections = CONNECTIONS;
// Where the program has a terminal, its signals come here too; they are the program's.
for (const signal of ["SIGINT", "SIGQUIT"]) process.on(signal, () => {});
/** `sandbox-wait.cjs` looks for it. */
const READY = "/dev/shm/doorward-bridge";

server.listen({ host: "127.0.0.1", port: Number(port) }, () => {
  closeSync(openSync(READY, "w"));
  writeSync(1, "ready");
  closeSync(1);
  // Takes the free number, so that no connection becomes the standard output.
  openSync("/dev/null", "w");
});
