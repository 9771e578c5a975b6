import type { IncomingMessage, ServerResponse } from "node:http";
import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { type EarlyRefusal, recordRefusal } from "../broker/record-refusal.ts";
import type { AuthThrottle } from "../identity/auth-throttle.ts";
import type { Authenticate } from "../identity/authenticate.ts";
import { MAX_CONTEXT_CHARACTERS, type Principal } from "../identity/principal.ts";
import { type CredentialPlace, tokenFromRequest } from "../identity/token-from-request.ts";
import type { McpEndpoint } from "../mcp/http-endpoint.ts";
import type { ApiEndpoint } from "./api-endpoint.ts";
import { checkHost, type OwnNames } from "./check-host.ts";
import { clientAddress, type TrustedProxies } from "./client-address.ts";
import { refuseRequest } from "./refuse-request.ts";

/** A request's route beyond the two planes: health, metrics, the admin API. `true` when it was answered. */
export type SideRoute = (
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
) => boolean | Promise<boolean>;

export interface FrontDeps {
  readonly names: OwnNames;
  readonly trusted: TrustedProxies;
  readonly authenticate: Authenticate;
  readonly throttle: AuthThrottle;
  readonly audit: AuditLog;
  readonly credentialOf: (service: string) => CredentialPlace | undefined;
  readonly api: ApiEndpoint;
  readonly mcp: McpEndpoint;
  readonly side: SideRoute;
  readonly now: () => Date;
  readonly fault: (error: unknown, requestId: string) => void;
  /** The local socket: callers have no address. */
  readonly local?: boolean;
}

/** Makes the request listener: checks the address, proves the caller, and hands over to a plane. */
export function createFront(deps: FrontDeps): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const requestId = newId("req");
    request.on("error", () => {});
    response.on("error", () => {});
    const misdirected = checkHost(request, deps.names);
    if (misdirected !== undefined) {
      recordStray(deps, misdirected, requestId, addressOf(deps, request));
      return refuseRequest(request, response, misdirected, requestId);
    }
    route(deps, request, response, requestId).catch((error: unknown) => {
      if (error instanceof Problem) return refuseRequest(request, response, error, requestId);
      deps.fault(error, requestId);
      refuseRequest(request, response, new Problem("internal_error"), requestId);
    });
  };
}

async function route(
  deps: FrontDeps,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
): Promise<void> {
  const url = request.url ?? "";
  if (url.startsWith("/api/")) return api(deps, request, response, requestId, url);
  const path = url.split("?", 1)[0]!;
  if (path === "/mcp") {
    const { principal } = await identify(deps, request, requestId, "", undefined);
    const served = deps.mcp(request, response, { principal, requestId });
    return orRecorded(deps, { requestId, principal, door: "mcp" }, served);
  }
  if (await deps.side(request, response, requestId)) return;
  if (!url.startsWith("/")) throw new Problem("not_canonical", { detail: "the request target must begin with `/`" });
  throw new Problem("not_found");
}

async function api(
  deps: FrontDeps,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  url: string,
): Promise<void> {
  const [, service = "", rest = ""] = /^\/api\/([^/?#]*)(.*)$/s.exec(url) ?? [];
  const question = rest.indexOf("?");
  const path = question === -1 ? rest : rest.slice(0, question);
  const found = await identify(
    deps,
    request,
    requestId,
    question === -1 ? "" : rest.slice(question),
    deps.credentialOf(service),
  );
  const { principal } = found;
  const target = (path === "" ? "/" : path) + found.search;
  const served = deps.api(request, response, { principal, requestId, service, target, headers: found.headers });
  return orRecorded(deps, { requestId, principal, door: "api", service }, served);
}

/** A refusal that a plane throws comes from before the call: it is put on record here. */
async function orRecorded(
  deps: FrontDeps,
  caller: Pick<EarlyRefusal, "requestId" | "principal" | "door" | "service">,
  served: Promise<void>,
): Promise<void> {
  try {
    await served;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    await recordRefusal(deps.audit, { ...caller, code: error.code, reason: error.reason ?? error.message });
    throw error;
  }
}

interface Identified {
  readonly principal: Principal;
  readonly headers: readonly (readonly [string, string])[];
  readonly search: string;
}

function addressOf(deps: FrontDeps, request: IncomingMessage): string {
  return deps.local === true ? "unix" : clientAddress(request, deps.trusted);
}

/**
 * Puts on record what came without any identity: a foreign Host or Origin, or no valid HTTP. An address that does so too
 * often is not written down each time; the answer does not wait for it, since nothing was asked of us.
 */
export function recordStray(
  deps: Pick<FrontDeps, "audit" | "throttle" | "now">,
  problem: Problem,
  requestId: string,
  ip: string,
): void {
  if (deps.throttle.failed(ip, deps.now()).limited) return;
  const event = {
    type: "token.refused",
    request_id: requestId,
    code: problem.code,
    data: { reason: problem.message, ip },
  } as const;
  deps.audit.append(event).catch(() => {});
}

/** Proves who asks. @throws {Problem} `invalid_token`, in the same words whatever was wrong; `rate_limited` after too many. */
async function identify(
  deps: FrontDeps,
  request: IncomingMessage,
  requestId: string,
  search: string,
  credential: CredentialPlace | undefined,
): Promise<Identified> {
  const headers = pairs(request.rawHeaders);
  const ip = addressOf(deps, request);
  const now = deps.now();
  const found = tokenFromRequest({ headers, search, credential });
  const purpose = contextHeader(request, "doorward-purpose");
  const task = contextHeader(request, "doorward-task");
  const result = found.ok ? deps.authenticate({ token: found.token, ip, purpose, task, now }) : undefined;
  if (found.ok && result?.ok === true)
    return { principal: result.principal, headers: found.headers, search: found.search };

  const limited = deps.throttle.failed(ip, now);
  if (limited.limited) {
    if (limited.first) await refused(deps, requestId, ip, { reason: "too_many_failures" });
    throw new Problem("rate_limited", { fields: { retry_after: limited.retryAfterSeconds } });
  }
  const reason = result?.ok === false ? result.reason : "ambiguous";
  const known = result?.ok === false ? { agent: result.agent, keyId: result.keyId } : {};
  await refused(deps, requestId, ip, { reason, ...known });
  throw new Problem("invalid_token");
}

async function refused(
  deps: FrontDeps,
  requestId: string,
  ip: string,
  why: { readonly reason: string; readonly agent?: string | undefined; readonly keyId?: string | undefined },
): Promise<void> {
  await deps.audit.append({
    type: "token.refused",
    request_id: requestId,
    agent: why.agent,
    code: "invalid_token",
    data: { reason: why.reason, token: why.keyId, ip },
  });
}

function contextHeader(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string" && value.length <= MAX_CONTEXT_CHARACTERS) return value;
  throw new Problem("invalid_request", {
    detail: `the header ${name} must have at most ${MAX_CONTEXT_CHARACTERS} characters`,
  });
}

function pairs(raw: readonly string[]): [string, string][] {
  const headers: [string, string][] = [];
  for (let i = 0; i < raw.length; i += 2) headers.push([raw[i]!.toLowerCase(), raw[i + 1]!]);
  return headers;
}
