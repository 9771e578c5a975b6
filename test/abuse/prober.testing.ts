/** A thread that asks for `/healthz` all the time, so that what the test itself computes does not count. */
import { connect } from "node:net";
import { parentPort, workerData } from "node:worker_threads";

const EVERY_MS = 15;
const TICK_MS = 5;
const port = workerData as number;
let slowestMs = 0;
/** The longest that this thread itself, which does nothing, was kept from running: the machine's doing, not the daemon's. */
let stolenMs = 0;
let tickedAt = performance.now();

setInterval(() => {
  const now = performance.now();
  stolenMs = Math.max(stolenMs, now - tickedAt - TICK_MS);
  tickedAt = now;
}, TICK_MS);

parentPort?.on("message", () => {
  parentPort?.postMessage(Math.max(0, slowestMs - stolenMs));
  slowestMs = 0;
  stolenMs = 0;
});

function probe(): void {
  const startedAt = performance.now();
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.on("data", () => socket.destroy());
  socket.on("close", () => {
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    setTimeout(probe, EVERY_MS);
  });
  socket.write("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
}
probe();
