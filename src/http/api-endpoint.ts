import type { IncomingMessage, ServerResponse } from "node:http";
import { Problem } from "../base/problem.ts";
import { readBody } from "../base/read-body.ts";
import { sendProblem } from "../base/send-problem.ts";
import type { RunningCall } from "../broker/call-request.ts";
import type { Broker } from "../broker/create-broker.ts";
import type { Principal } from "../identity/principal.ts";
import { createResponseSink } from "./response-sink.ts";

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

export type ApiEndpoint = (request: IncomingMessage, response: ServerResponse, api: ApiRequest) => Promise<void>;

/** Serves the base-URL plane: an ordinary HTTP call, answered with the upstream's own status, headers and bytes. */
export function createApiEndpoint(deps: ApiEndpointDeps): ApiEndpoint {
  return async (request, response, api) => {
    const { principal, requestId, service, target, headers } = api;
    const limit = deps.requestBytes(service) ?? UNKNOWN_SERVICE_BODY_BYTES;
    const body = await readBody(request, limit);
    const method = request.method ?? "";
    let call: RunningCall | undefined;
    const sink = createResponseSink(response, {
      requestId,
      resume: () => call?.resume(),
      redacted: () => call?.redacted ?? 0,
      refuse: (problem) => sendProblem(response, problem, requestId),
    });
    response.on("close", () => {
      if (!response.writableFinished) call?.leave();
    });
    if (response.destroyed) throw new Problem("invalid_request", { detail: "the caller went away" });
    call = deps.broker.call(
      {
        requestId,
        door: "api",
        principal,
        service,
        raw: { method, target, headers, body },
        publicBase: deps.publicBase(service),
      },
      sink,
    );
  };
}
