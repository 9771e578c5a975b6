import type { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Provider } from "oidc-provider";
import { isObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { readBody } from "../base/read-body.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import type { OAuthConfig } from "../config/schema.ts";
import type { AddressQuota } from "./address-quota.ts";
import { type ConsentDeps, INTERACTION, serveConsent } from "./consent.ts";
import { normaliseParameters, type ParameterRoute } from "./normalise-parameters.ts";
import { normaliseRegistration } from "./normalise-registration.ts";
import type { OneAtATime } from "./one-at-a-time.ts";
import { publicRequest } from "./public-request.ts";
import type { RegistrationTokens } from "./registration-tokens.ts";
import { parseResourcePath, RESOURCE_METADATA, resourceMetadata } from "./resources.ts";

const BODY_BYTES = 48 * 1024;
/** Characters of path and query. */
const URL_LIMIT = 16 * 1024;

/** What of the answer is recorded, beside the answer itself. */
export interface OAuthRequest {
  readonly requestId: string;
  readonly ip: string;
}

export interface OAuthEndpointDeps {
  readonly publicUrl: () => string;
  readonly oauth: () => OAuthConfig;
  readonly provider: () => Promise<Provider>;
  readonly consent: ConsentDeps;
  readonly registrationTokens: RegistrationTokens;
  /** Of what strangers make us keep. */
  readonly strangers: AddressQuota;
  readonly oneAtATime: OneAtATime;
  /** The agent of the registration under way. */
  readonly registering: AsyncLocalStorage<string | undefined>;
  /** The circumstances of the request under way, for who records it. */
  readonly underWay: AsyncLocalStorage<OAuthRequest>;
  /** Records and answers a refusal that is not oidc-provider's. */
  readonly refuse: (response: ServerResponse, refusal: OAuthRefusal) => Promise<void>;
  readonly now: () => Date;
}

export interface OAuthRefusal {
  readonly status: number;
  readonly error: string;
  readonly description: string;
  readonly retryAfterSeconds?: number | undefined;
}

/** Serves `/oauth/…` and its discovery. @returns Whether the path was one of them. */
export type OAuthEndpoint = (
  request: IncomingMessage,
  response: ServerResponse,
  circumstances: OAuthRequest,
) => Promise<boolean>;

/** Each path with its methods; nothing else of oidc-provider is reachable. */
const ROUTES: ReadonlyMap<
  string,
  { readonly methods: readonly string[]; readonly parameters: ParameterRoute | "json" }
> = new Map([
  ["/.well-known/oauth-authorization-server", { methods: ["GET"], parameters: "other" }],
  ["/oauth/authorize", { methods: ["GET"], parameters: "authorization" }],
  ["/oauth/token", { methods: ["POST"], parameters: "token" }],
  ["/oauth/jwks", { methods: ["GET"], parameters: "other" }],
  ["/oauth/register", { methods: ["POST"], parameters: "json" }],
  ["/oauth/revoke", { methods: ["POST"], parameters: "other" }],
  ["/oauth/introspect", { methods: ["POST"], parameters: "other" }],
  ["/oauth/par", { methods: ["POST"], parameters: "authorization" }],
  ["/oauth/device_authorization", { methods: ["POST"], parameters: "authorization" }],
  ["/oauth/device", { methods: ["GET", "POST"], parameters: "other" }],
  ["/oauth/session/end/confirm", { methods: ["POST"], parameters: "other" }],
]);
/** Where a browser comes back to after it was asked. */
const RESUMED = /^\/oauth\/(?:authorize|device)\/[\w-]{1,100}$/;
/** Makes a row of whoever asks, so that it is counted. */
const KEEPS = new Set(["/oauth/authorize", "/oauth/register", "/oauth/device_authorization"]);

export function createOAuthEndpoint(deps: OAuthEndpointDeps): OAuthEndpoint {
  return async (request, response, circumstances) => {
    const url = request.url ?? "";
    const path = url.split("?", 1)[0]!;
    if (path.startsWith(RESOURCE_METADATA)) return sendMetadata(deps, request, response, path);
    const route = ROUTES.get(path);
    const resumed = RESUMED.test(path);
    const asks = INTERACTION.test(path);
    if (route === undefined && !resumed && !asks) return false;
    const methods = route?.methods ?? (asks ? ["GET", "POST"] : ["GET"]);
    if (!methods.includes(request.method ?? "")) {
      throw new Problem("method_not_allowed", { detail: `use ${methods.join(" or ")}` });
    }
    if (url.length > URL_LIMIT) throw new Problem("too_large");
    response.setHeader("doorward-request-id", circumstances.requestId);
    const exchange: Exchange = { request, response, circumstances, path, url };
    if (KEEPS.has(path) && (await isOverQuota(deps, exchange))) return true;
    await deps.underWay.run(circumstances, () =>
      asks ? ask(deps, exchange) : provide(deps, exchange, route?.parameters ?? "other"),
    );
    return true;
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly circumstances: OAuthRequest;
  readonly path: string;
  readonly url: string;
}

function sendMetadata(
  deps: OAuthEndpointDeps,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): boolean {
  const resource = parseResourcePath(path.slice(RESOURCE_METADATA.length));
  if (resource === undefined) return false;
  if (request.method !== "GET") throw new Problem("method_not_allowed", { detail: "use GET" });
  sendJson(response, 200, resourceMetadata(resource, deps.publicUrl()));
  return true;
}

async function isOverQuota(deps: OAuthEndpointDeps, { response, circumstances }: Exchange): Promise<boolean> {
  const wait = deps.strangers.take(circumstances.ip, deps.now());
  if (wait === undefined) return false;
  const description = "too many requests from this address";
  await deps.refuse(response, { status: 429, error: "temporarily_unavailable", description, retryAfterSeconds: wait });
  return true;
}

/** The page of ours that asks a person. */
async function ask(deps: OAuthEndpointDeps, { request, response, url }: Exchange): Promise<void> {
  const provider = await deps.provider();
  const body = await bodyOf(request);
  const view = publicRequest(request, { publicUrl: deps.publicUrl(), url, body: undefined });
  await serveConsent(deps.consent, provider, { view, response, body: body?.toString("utf8") ?? "" });
}

/** Hands a request to oidc-provider, brought into the one form that means one thing. */
async function provide(deps: OAuthEndpointDeps, exchange: Exchange, kind: ParameterRoute | "json"): Promise<void> {
  const { request, response } = exchange;
  const body = await bodyOf(request);
  const asked = kind === "json" ? await registration(deps, exchange, body) : parameters(exchange, kind, body);
  if (!asked.ok) return deps.refuse(response, asked.refusal);
  const provider = await deps.provider();
  const view = publicRequest(request, { publicUrl: deps.publicUrl(), url: asked.url, body: asked.body });
  const run = async () => {
    await deps.registering.run(asked.agent, () => provider.callback()(view, response));
    return response.statusCode === 200;
  };
  if (asked.once === undefined) return void (await run());
  if (await deps.oneAtATime.use(asked.once, run)) return;
  await deps.refuse(response, { status: 400, error: "invalid_grant", description: "grant request is invalid" });
}

type Asked =
  | {
      readonly ok: true;
      readonly url: string;
      readonly body: Buffer | undefined;
      /** What may be used once. */
      readonly once?: string | undefined;
      readonly agent?: string | undefined;
    }
  | { readonly ok: false; readonly refusal: OAuthRefusal };

function parameters({ request, path, url }: Exchange, route: ParameterRoute, body: Buffer | undefined): Asked {
  const inBody = request.method === "POST";
  const question = url.indexOf("?");
  const given = new URLSearchParams(
    inBody ? (body?.toString("utf8") ?? "") : question === -1 ? "" : url.slice(question + 1),
  );
  const normalised = normaliseParameters(route, given);
  if (!normalised.ok) {
    const { error, description } = normalised;
    return { ok: false, refusal: { status: 400, error, description } };
  }
  const text = normalised.parameters.toString();
  if (!inBody) return { ok: true, url: text === "" ? path : `${path}?${text}`, body: undefined };
  const once = route === "token" ? (given.get("code") ?? given.get("refresh_token") ?? undefined) : undefined;
  return { ok: true, url: path, body: body === undefined ? undefined : Buffer.from(text), once };
}

async function registration(
  deps: OAuthEndpointDeps,
  { request, path }: Exchange,
  body: Buffer | undefined,
): Promise<Asked> {
  const refused = (status: number, error: string, description: string): Asked => ({
    ok: false,
    refusal: { status, error, description },
  });
  const mode = deps.oauth().registration;
  if (mode === "off") return refused(403, "access_denied", "registration is off");
  const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (mode === "token" && given === undefined) return refused(401, "invalid_token", "registration needs a token");
  const parsed = parseStrictJson(body ?? "");
  if (!parsed.ok || !isObject(parsed.value)) {
    return refused(400, "invalid_client_metadata", "the body must be a JSON object");
  }
  const normalised = normaliseRegistration(parsed.value);
  if (!normalised.ok) return refused(400, normalised.error, normalised.description);
  // Last, so that a faulty request uses nothing up.
  const agent = given === undefined ? undefined : await deps.registrationTokens.redeem(given, deps.now());
  if (given !== undefined && agent === undefined) return refused(401, "invalid_token", "invalid token provided");
  return { ok: true, url: path, body: Buffer.from(JSON.stringify(normalised.metadata)), agent };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const bytes = await readBody(request, BODY_BYTES);
  return bytes === undefined ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Sends JSON that nobody keeps. */
export function sendJson(
  response: ServerResponse,
  status: number,
  value: object,
  headers: Record<string, string> = {},
): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": body.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...headers,
  });
  response.end(body);
}
