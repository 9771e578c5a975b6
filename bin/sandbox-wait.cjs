// Loaded into a Node program before its own first line, when the bridge is started beside it: by then the bridge listens,
// or is about to. So a program never finds the way out closed, and its start does not wait for another's.
"use strict";
const { statSync } = require("node:fs");
const Module = require("node:module");

const READY = "/dev/shm/doorward-bridge";
const PATIENCE_MS = 10_000;
const PROXY_VARIABLES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/** Where undici keeps what it sends through, this Node's and the program's own; not each version knows both. */
const DISPATCHERS = ["undici.globalDispatcher.1", "undici.globalDispatcher.2"].map((name) => Symbol.for(name));

const tick = new Int32Array(new SharedArrayBuffer(4));
for (let ms = 0; ms < PATIENCE_MS && statSync(READY, { throwIfNoEntry: false }) === undefined; ms++) {
  Atomics.wait(tick, 0, 0, 1);
}

// A Node that finds the proxy named at its start loads its whole HTTP client for it, which takes as long as all the rest of
// the start. So it is named when the program's first line is next, or at once where there is no such moment.
const { DOORWARD_PROXY: proxy } = process.env;
if (proxy !== undefined) {
  const isScript = !("_eval" in process) && process.argv[1] !== undefined;
  if (isScript) beforeMain(proxy);
  else nameProxy(proxy);
}

/** @param {string} url */
function beforeMain(url) {
  const patchable = /** @type {{ runMain: (...entry: unknown[]) => unknown }} */ (/** @type {unknown} */ (Module));
  const { runMain } = patchable;
  patchable.runMain = (...entry) => {
    patchable.runMain = runMain;
    nameProxy(url);
    standInForDispatchers();
    return runMain.apply(Module, entry);
  };
}

/** @param {string} url */
function nameProxy(url) {
  delete process.env["DOORWARD_PROXY"];
  for (const name of PROXY_VARIABLES) process.env[name] = url;
}

/** Puts something in the place of each dispatcher that makes the real ones when a program first sends. */
function standInForDispatchers() {
  const globals = /** @type {Record<symbol, unknown>} */ (/** @type {unknown} */ (globalThis));
  /** @type {Map<symbol, Record<string | symbol, unknown>> | undefined} */
  let made;
  /** @type {Map<symbol, object>} */
  const standIns = new Map();
  for (const key of DISPATCHERS) {
    const value = standIn(key);
    standIns.set(key, value);
    Object.defineProperty(globalThis, key, { value, writable: true, enumerable: false, configurable: true });
  }

  /** @param {symbol} key */
  function standIn(key) {
    return new Proxy(
      {},
      {
        get(_, property) {
          made ??= makeDispatchers();
          const dispatcher = made.get(key);
          const value = dispatcher?.[property];
          return typeof value === "function" ? value.bind(dispatcher) : value;
        },
      },
    );
  }

  function makeDispatchers() {
    const before = DISPATCHERS.map((key) => globals[key]);
    const http = /** @type {{ setGlobalProxyFromEnv(): void }} */ (/** @type {unknown} */ (require("node:http")));
    http.setGlobalProxyFromEnv();
    const real = new Map(DISPATCHERS.filter(isReal).map((key) => [key, /** @type {any} */ (globals[key])]));
    const [any] = real.values();
    for (const [index, key] of DISPATCHERS.entries()) {
      if (!real.has(key)) real.set(key, any);
      // The program has named one of its own meanwhile.
      if (before[index] !== standIns.get(key)) globals[key] = before[index];
    }
    return real;
  }

  /** @param {symbol} key */
  function isReal(key) {
    return globals[key] !== standIns.get(key);
  }
}
