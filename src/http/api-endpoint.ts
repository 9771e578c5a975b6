import type { IncomingMessage, ServerResponse } from "node:http";
import { Problem } from "../base/problem.ts";
import { hasBody, readBody } from "../base/read-body.ts";
import type { Broker } from "../broker/create-broker.ts";
import type { Principal } from "../identity/principal.ts";
import { ResponseSink } from "./response-sink.ts";

/** The limit where the service is not known: nothing of the body matters then. */
const UNKNOWN_SERVICE_BODY_BYTES = 1024 * 1024;

export interface ApiEndpointDeps {
  readonly broker: Broker;
  /** The service's own limit on request bodies, in bytes. */
  readonly requestBytes: (service: string) => number | undefined;
  readonly publicBase: (service: string) => string;
}

/** A request to `/api/SERVICE/…` whose caller is known, and whose token was taken out of it. */
export interface ApiRequest {
  readonly principal: Principal;
  readonly requestId: string;
  readonly service: string;
  /** `/path?query` below the service, as it came, without the token. */
  readonly target: string;
  /** As they came, without the token. */
  readonly headers: readonly (readonly [string, string])[];
}

/** @returns `undefined` when the call has begun already. @throws {Problem} Also by rejection: why there is no call. */
export type ApiEndpoint = (
  request: IncomingMessage,
  response: ServerResponse,
  api: ApiRequest,
) => Promise<void> | undefined;

/** Serves the base-URL plane: an ordinary HTTP call, answered with the upstream's own status, headers and bytes. */
export function createApiEndpoint(deps: ApiEndpointDeps): ApiEndpoint {
  const begin = (
    request: IncomingMessage,
    response: ServerResponse,
    { principal, requestId, service, target, headers }: ApiRequest,
    body: Uint8Array | undefined,
  ): void => {
    const sink = new ResponseSink(response, requestId);
    if (response.destroyed) throw new Problem("invalid_request", { detail: "the caller went away" });
    const raw = { method: request.method ?? "", target, headers, body };
    const publicBase = deps.publicBase(service);
    const call = deps.broker.call({ requestId, door: "api", principal, service, raw, publicBase }, sink);
    sink.call = call;
    response.on("close", () => {
      if (!response.writableFinished) call.leave();
    });
  };
  return (request, response, api) => {
    if (!hasBody(request)) return void begin(request, response, api, undefined);
    const limit = deps.requestBytes(api.service) ?? UNKNOWN_SERVICE_BODY_BYTES;
    return readBody(request, limit).then((body) => begin(request, response, api, body));
  };
}
