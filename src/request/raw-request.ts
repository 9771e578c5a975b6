/** One HTTP request as a door received it, before anything was judged. */
export interface RawRequest {
  /** Tells it from an MCP call, whose kind is `mcp`. */
  readonly kind?: undefined;
  readonly method: string;
  /** `/path?query`, relative to the service's base path, as it came. */
  readonly target: string;
  /** In order, names in any case, repeated names repeated. On `/api` the caller already took its token out. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array | undefined;
  /** Where it is to go, `https://host[:port]`; at the door `egress` alone, whose programs choose among declared hosts. */
  readonly origin?: string;
}
