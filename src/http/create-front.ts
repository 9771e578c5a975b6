import type { IncomingMessage, ServerResponse } from "node:http";
import type { AuditLog } from "../audit/event.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { type EarlyRefusal, recordRefusal } from "../broker/record-refusal.ts";
import type { AuthThrottle } from "../identity/auth-throttle.ts";
import type { Authentication, KillInForce, ProofFault } from "../identity/authenticate.ts";
import type { AuthenticateCaller } from "../identity/authenticate-caller.ts";
import { MAX_CONTEXT_CHARACTERS, type Principal, withStated } from "../identity/principal.ts";
import { type CredentialPlace, tokenFromRequest } from "../identity/token-from-request.ts";
import type { McpEndpoint } from "../mcp/http-endpoint.ts";
import type { LegacySse } from "../mcp/legacy-sse.ts";
import { denyKilled } from "../policy/decision.ts";
import type { ApiEndpoint } from "./api-endpoint.ts";
import type { CertificateOf } from "./certificate-of.ts";
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
  readonly authenticate: AuthenticateCaller;
  /** The client certificate that a request came with, where the file asks for any. */
  readonly certificateOf?: CertificateOf | undefined;
  readonly throttle: AuthThrottle;
  /** What a 401 says of where a token is to be had. @param resource - What it must be for. */
  readonly challenge?: ((resource: string, proof: ProofFault | undefined) => Record<string, string>) | undefined;
  readonly audit: AuditLog;
  readonly credentialOf: (service: string) => CredentialPlace | undefined;
  readonly api: ApiEndpoint;
  readonly mcp: McpEndpoint;
  /** The older transport, while the file asks for it. */
  readonly sse: () => LegacySse | undefined;
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
    request.on("error", ignore);
    response.on("error", ignore);
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

/** A peer that goes away ends its call by `close`; what Node says of it besides is no news. */
function ignore(): void {}

/** Not `async`, as are its parts that each call passes: what they give is handed on as it is. Never throws. */
function route(deps: FrontDeps, request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> {
  const url = request.url ?? "";
  if (url.startsWith(API)) return api(deps, request, response, requestId, url);
  const path = url.split("?", 1)[0]!;
  if (path === "/mcp") return mcp(deps, request, response, { requestId });
  if (path.startsWith("/mcp/")) {
    return mcp(deps, request, response, { requestId, service: path.slice("/mcp/".length) });
  }
  return other(deps, request, response, { requestId, url, path });
}

async function other(
  deps: FrontDeps,
  request: IncomingMessage,
  response: ServerResponse,
  { requestId, url, path }: { readonly requestId: string; readonly url: string; readonly path: string },
): Promise<void> {
  const sse = path === "/sse" || path === "/messages" ? deps.sse() : undefined;
  if (sse !== undefined) return legacySse(deps, sse, path, { request, response, requestId });
  if (await deps.side(request, response, requestId)) return;
  if (!url.startsWith("/")) throw new Problem("not_canonical", { detail: "the request target must begin with `/`" });
  throw new Problem("not_found");
}

async function mcp(
  deps: FrontDeps,
  request: IncomingMessage,
  response: ServerResponse,
  asked: { readonly requestId: string; readonly service?: string },
): Promise<void> {
  const { requestId, service } = asked;
  const resource = service === undefined ? "/mcp" : `/mcp/${service}`;
  const identified = identify(deps, request, { requestId, search: "", credential: undefined, resource });
  const { principal } = identified instanceof Promise ? await identified : identified;
  try {
    await deps.mcp(request, response, { principal, ...asked });
  } catch (error) {
    throw await recorded(deps, { principal, door: "mcp", ...asked }, error);
  }
}

const API = "/api/";

async function legacySse(
  deps: FrontDeps,
  sse: LegacySse,
  path: string,
  { request, response, requestId }: { request: IncomingMessage; response: ServerResponse; requestId: string },
): Promise<void> {
  const asked = { requestId, search: "", credential: undefined, resource: "/mcp" };
  const { principal } = await identify(deps, request, asked);
  const caller = { principal, requestId };
  try {
    if (path === "/sse") sse.stream(request, response, caller);
    else await sse.message(request, response, caller);
  } catch (error) {
    throw await recorded(deps, { ...caller, door: "mcp" }, error);
  }
}

async function api(
  deps: FrontDeps,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  url: string,
): Promise<void> {
  const { service, path, search } = splitTarget(url);
  const credential = deps.credentialOf(service);
  const identified = identify(deps, request, { requestId, search, credential, resource: "/api" });
  const found = identified instanceof Promise ? await identified : identified;
  const { principal, headers } = found;
  const target = (path === "" ? "/" : path) + found.search;
  try {
    const begun = deps.api(request, response, { principal, requestId, service, target, headers });
    if (begun !== undefined) await begun;
  } catch (error) {
    throw await recorded(deps, { requestId, principal, door: "api", service }, error);
  }
}

/** Splits `/api/SERVICE/path?query`, where the path or the query may be missing; a `#` belongs to what follows the name. */
function splitTarget(url: string): { readonly service: string; readonly path: string; readonly search: string } {
  const question = url.indexOf("?");
  const end = question === -1 ? url.length : question;
  const name = /[/?#]/g;
  name.lastIndex = API.length;
  const nameEnd = name.exec(url)?.index ?? url.length;
  return { service: url.slice(API.length, nameEnd), path: url.slice(nameEnd, end), search: url.slice(end) };
}

/** A refusal that a plane throws comes from before the call: it is put on record here. @returns What to answer with. */
async function recorded(
  deps: FrontDeps,
  caller: Pick<EarlyRefusal, "requestId" | "principal" | "door" | "service">,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof Problem)) return error;
  await recordRefusal(deps.audit, { ...caller, code: error.code, reason: error.reason ?? error.message });
  return error;
}

/** What a request asks for, as far as its token is concerned. */
interface AskedAs {
  readonly requestId: string;
  readonly search: string;
  readonly credential: CredentialPlace | undefined;
  /** What a token must be for: `/mcp`, `/mcp/SERVICE` or `/api`. */
  readonly resource: string;
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

/**
 * Proves who asks; at once for a valid token.
 *
 * @throws {Problem} `invalid_token`, in the same words whatever was wrong; `rate_limited` after too many.
 */
function identify(
  deps: FrontDeps,
  request: IncomingMessage,
  { requestId, search, credential, resource }: AskedAs,
): Identified | Promise<Identified> {
  const ip = addressOf(deps, request);
  const now = deps.now();
  const found = tokenFromRequest({ rawHeaders: request.rawHeaders, search, credential });
  const purpose = contextHeader(request, "doorward-purpose");
  const task = contextHeader(request, "doorward-task");
  const stated = { tenant: contextHeader(request, "doorward-tenant"), role: contextHeader(request, "doorward-role") };
  if (!found.ok) return unproven(deps, { requestId, ip, now, resource, reason: "ambiguous" });
  const certificate = deps.certificateOf?.(request);
  if (certificate === "refused") return unproven(deps, { requestId, ip, now, resource, reason: "bad_certificate" });
  const { token } = found;
  const judge = (result: Authentication): Identified | Promise<never> => {
    if (!result.ok) return unproven(deps, { requestId, ip, now, resource, ...result });
    const principal = withStated(result.principal, stated);
    return { principal, headers: found.headers, search: found.search };
  };
  const result = deps.authenticate({ token, ip, purpose, task, now, certificate, resource, http: request });
  return result instanceof Promise ? result.then(judge) : judge(result);
}

async function unproven(
  deps: FrontDeps,
  attempt: {
    readonly requestId: string;
    readonly ip: string;
    readonly now: Date;
    readonly resource: string;
    readonly reason: string;
    readonly proof?: ProofFault | undefined;
    readonly agent?: string | undefined;
    readonly keyId?: string | undefined;
    readonly kill?: KillInForce | undefined;
  },
): Promise<never> {
  const { requestId, ip, now, resource, reason, proof, agent, keyId, kill } = attempt;
  if (kill !== undefined) {
    const { detail, remedy, rules } = denyKilled(kill);
    await refused(deps, { requestId, ip, code: "killed" }, { reason, agent, keyId });
    throw new Problem("killed", { detail, remedy, fields: { rule: rules[0]! } });
  }
  const limited = deps.throttle.failed(ip, now);
  if (limited.limited) {
    if (limited.first) await refused(deps, { requestId, ip }, { reason: "too_many_failures" });
    throw new Problem("rate_limited", { fields: { retry_after: limited.retryAfterSeconds } });
  }
  const code = proof === undefined ? "invalid_token" : "invalid_dpop_proof";
  await refused(deps, { requestId, ip, code }, { reason, agent, keyId });
  throw new Problem(code, { headers: deps.challenge?.(resource, proof) });
}

async function refused(
  deps: FrontDeps,
  {
    requestId,
    ip,
    code = "invalid_token",
  }: { requestId: string; ip: string; code?: "invalid_token" | "invalid_dpop_proof" | "killed" },
  why: { readonly reason: string; readonly agent?: string | undefined; readonly keyId?: string | undefined },
): Promise<void> {
  await deps.audit.append({
    type: "token.refused",
    request_id: requestId,
    agent: why.agent,
    code,
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
