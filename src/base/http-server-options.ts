import type { ServerOptions } from "node:http";

/** A request's head and body must have arrived within this time. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How often unfinished requests are looked for: their answer is late by at most this. */
const CHECK_INTERVAL_MS = 1_000;
/** Of one request's head. */
export const HEADER_BYTES = 32 * 1024;
/** Header fields of one request; a property of the server, not one of its options. */
export const HEADERS_COUNT = 200;
/** A kept connection may be silent for this long between requests. */
const KEEP_ALIVE_MS = 65_000;

/** What a peer may cost before its request is looked at, on every door that speaks HTTP: ours, and a sandbox's way out. */
export const HTTP_SERVER_OPTIONS: ServerOptions = {
  requestTimeout: REQUEST_TIMEOUT_MS,
  headersTimeout: REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: CHECK_INTERVAL_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  maxHeaderSize: HEADER_BYTES,
  noDelay: true,
  // A missing Host is refused like a foreign one, in the contract's form.
  requireHostHeader: false,
};
