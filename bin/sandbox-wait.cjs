// Loaded into a Node program before its own first line, when the bridge is started beside it: by then the bridge listens,
// or is about to. So a program never finds the way out closed, and its start does not wait for another's.
"use strict";
const { statSync } = require("node:fs");

const READY = "/dev/shm/doorward-bridge";
const PATIENCE_MS = 10_000;

const tick = new Int32Array(new SharedArrayBuffer(4));
for (let ms = 0; ms < PATIENCE_MS && statSync(READY, { throwIfNoEntry: false }) === undefined; ms++) {
  Atomics.wait(tick, 0, 0, 1);
}
