import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Problem } from "../base/problem.ts";
import { readBody } from "../base/read-body.ts";
import type { CallRequest, RunningCall } from "../broker/call-request.ts";
import { printOrigin } from "../config/host-port.ts";
import type { AnswerSink } from "../egress/answer.ts";
import { DEFAULT_RULE } from "../policy/decision.ts";
import type { EgressOrigin, EgressRoute, EgressSession } from "./egress-session.ts";
import { type EgressTarget, parseInnerTarget, parseProxyTarget } from "./egress-target.ts";

/** Writes an answer to a program. Made in `http/`. */
export type CreateSink = (
  response: ServerResponse,
  requestId: string,
  refuse: (problem: Problem) => void,
) => AnswerSink & { call: Pick<RunningCall, "resume" | "redacted"> | undefined };

export interface EgressRequestDeps {
  readonly broker: { call(request: CallRequest, sink: AnswerSink): RunningCall };
  readonly createSink: CreateSink;
  readonly refuse: (request: IncomingMessage, response: ServerResponse, problem: Problem, requestId: string) => void;
}

const gunzipped = promisify(gunzip);

/**
 * Makes one request of a program a call to the broker, and its answer the program's.
 *
 * @param tunnel - The origin of the tunnel that it came through; `undefined` outside of one.
 * @throws {Problem} what keeps it from being a call; the caller records and answers it.
 */
export async function handleEgressRequest(
  deps: EgressRequestDeps,
  session: EgressSession,
  { request, response, requestId }: { request: IncomingMessage; response: ServerResponse; requestId: string },
  tunnel: EgressOrigin | undefined,
): Promise<void> {
  if (/\bwebsocket\b/i.test(request.headers.upgrade ?? "")) throw noWebSocket();
  const { origin, target } = targetOf(request, tunnel);
  const route = session.route(origin, target);
  if (route === undefined) throw undeclared(session, origin);
  const headers = headerPairs(request);
  const body = await readPlainBody(request, route.requestBytes);
  if (response.destroyed) throw new Problem("invalid_request", { detail: "the program went away" });
  const refuse = (problem: Problem) => deps.refuse(request, response, problem, requestId);
  const sink = deps.createSink(response, requestId, refuse);
  const call = deps.broker.call(
    {
      requestId,
      door: "egress",
      principal: session.principal,
      service: route.service,
      raw: {
        method: request.method ?? "",
        target: belowBase(target, route),
        headers: body.decoded ? headers.filter(([name]) => name.toLowerCase() !== "content-encoding") : headers,
        body: body.bytes,
        origin: printOrigin(origin.protocol, origin),
      },
      publicBase: undefined,
      egress: { by: session.by, during: session.during(), ...placeholdersOf(session, route) },
    },
    sink,
  );
  sink.call = call;
  response.on("close", () => {
    if (!response.writableFinished) call.leave();
  });
}

function placeholdersOf(session: EgressSession, route: EgressRoute) {
  const placeholder = route.placeholder ?? session.placeholder;
  return { placeholder, foreign: session.placeholders?.filter((other) => other !== placeholder) };
}

/** The refusal of a place that nothing declares; the words name it, since the program named it. */
export function undeclared(session: EgressSession, origin: EgressOrigin): Problem {
  const shown = printOrigin(origin.protocol, origin).slice(0, MAX_SHOWN_CHARACTERS);
  if (session.by === "agent") {
    return new Problem("denied", {
      detail: `no service that \`${session.name}\` may use is at \`${shown}\``,
      remedy: "Ask the owner for a service with this url, and for a role that allows it.",
      reason: "undeclared_host",
      fields: { rule: DEFAULT_RULE },
    });
  }
  return new Problem("denied", {
    detail: `\`${session.name}\` does not declare \`${shown}\``,
    remedy: "The owner can add the host to `sandbox.network`, or to `hosts` of the credential if it is to get the key.",
    reason: "undeclared_host",
    fields: { rule: `service:${session.name}` },
  });
}

const MAX_SHOWN_CHARACTERS = 256;

function targetOf(request: IncomingMessage, tunnel: EgressOrigin | undefined): EgressTarget {
  const url = request.url ?? "";
  const hosts = headerPairs(request)
    .filter(([name]) => name.toLowerCase() === "host")
    .map(([, value]) => value);
  return tunnel === undefined ? parseProxyTarget(url, hosts) : parseInnerTarget(url, hosts, tunnel);
}

/** As they came: Node's own object drops and joins repeated ones. */
function headerPairs({ rawHeaders }: IncomingMessage): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) pairs.push([rawHeaders[at]!, rawHeaders[at + 1]!]);
  return pairs;
}

/**
 * Reads the body, and unpacks it where the program packed it (as git does): rules read it, and so does whoever looks for the
 * placeholder. It is sent plain.
 */
async function readPlainBody(
  request: IncomingMessage,
  limitBytes: number,
): Promise<{ readonly bytes: Uint8Array | undefined; readonly decoded: boolean }> {
  const bytes = await readBody(request, limitBytes);
  const coding = request.headers["content-encoding"]?.trim().toLowerCase();
  if (bytes === undefined || (coding !== "gzip" && coding !== "x-gzip")) return { bytes, decoded: false };
  try {
    return { bytes: await gunzipped(bytes, { maxOutputLength: limitBytes }), decoded: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw new Problem("too_large", { detail: `the unpacked body is larger than ${limitBytes} bytes` });
    }
    throw new Problem("invalid_request", { detail: "the body is not gzip, though its header says so" });
  }
}

/** A service's paths are relative to its base path; what lies beside it belongs to no service. */
function belowBase(target: string, { basePath, service }: EgressRoute): string {
  if (basePath === "") return target;
  const below = target.slice(basePath.length);
  if (target.startsWith(basePath) && /^(?:[/?]|$)/.test(below)) return below.startsWith("/") ? below : `/${below}`;
  throw new Problem("denied", {
    detail: `the path is not below the url of \`${service}\``,
    reason: "beside_base_path",
  });
}

function noWebSocket(): Problem {
  return new Problem("invalid_request", {
    detail: "the proxy speaks HTTP/1.1 without upgrades, and no WebSocket",
    remedy: "Use the service's HTTP API.",
  });
}
