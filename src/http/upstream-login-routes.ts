import type { IncomingMessage, ServerResponse } from "node:http";
import { Problem } from "../base/problem.ts";
import { html, PAGE_HEADERS, page } from "../oauth/pages.ts";
import { type CookieRules, clearLoginCookie, loginCookie, readLoginCookie } from "../oauth/session-cookie.ts";
import { clientDocument } from "../upstreams/login-client.ts";
import type { UpstreamLogins } from "../upstreams/upstream-logins.ts";
import type { SideRoute } from "./create-front.ts";

export interface UpstreamLoginRoutesDeps {
  readonly logins: Pick<UpstreamLogins, "open" | "finish">;
  readonly publicUrl: () => string;
  /** Puts on record what came and belongs to nothing. */
  readonly stray: (problem: Problem, requestId: string, request: IncomingMessage) => void;
}

const PREFIX = "/oauth/upstream/";
/** 32 bytes in base64url. */
const START = /^start\/([A-Za-z0-9_-]{43})$/;
const URL_LIMIT = 16 * 1024;
const TIE_SECONDS = 600;

/** Where the link of a sign-in leads. */
export function startUrl(publicUrl: string, ticket: string): string {
  return `${publicUrl}${PREFIX}start/${ticket}`;
}

/**
 * Serves `/oauth/upstream/…`: the link that begins a person's sign-in at an MCP server elsewhere, the place where the
 * authorization server sends the browser back to, and what Doorward says of itself as a client.
 *
 * The pages say nothing that came in a request.
 */
export function createUpstreamLoginRoutes(deps: UpstreamLoginRoutesDeps): SideRoute {
  return async (request, response, requestId) => {
    const url = request.url ?? "";
    const path = url.split("?", 1)[0]!;
    if (!path.startsWith(PREFIX)) return false;
    const step = path.slice(PREFIX.length);
    const ticket = START.exec(step)?.[1];
    if (step !== "callback" && step !== "client.json" && ticket === undefined) return false;
    // A preview or a prefetch must not use a link up.
    if (
      request.method !== "GET" ||
      /prefetch|preview/i.test(`${request.headers["sec-purpose"]} ${request.headers["purpose"]}`)
    ) {
      throw new Problem("method_not_allowed", { detail: "use GET", remedy: "Open the link in a browser." });
    }
    if (url.length > URL_LIMIT) throw new Problem("too_large");
    response.setHeader("doorward-request-id", requestId);
    if (step === "client.json") return sendDocument(deps, response);
    if (ticket !== undefined) return start(deps, { request, response, requestId }, ticket);
    return finish(deps, { request, response, requestId }, url);
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
}

function sendDocument({ publicUrl }: UpstreamLoginRoutesDeps, response: ServerResponse): boolean {
  const document = clientDocument(publicUrl());
  if (document === undefined) return false;
  const body = Buffer.from(JSON.stringify(document));
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": body.length,
    "cache-control": "max-age=300",
  });
  response.end(body);
  return true;
}

function start(deps: UpstreamLoginRoutesDeps, exchange: Exchange, ticket: string): boolean {
  const opened = deps.logins.open(ticket);
  if (opened === undefined) return sendNothing(deps, exchange);
  const cookie = loginCookie(opened.tie, TIE_SECONDS, rulesOf(deps));
  const headers = { ...PAGE_HEADERS, "referrer-policy": "no-referrer", "set-cookie": cookie, location: opened.url };
  exchange.response.writeHead(303, { ...headers, "content-length": 0 });
  exchange.response.end();
  return true;
}

async function finish(deps: UpstreamLoginRoutesDeps, exchange: Exchange, url: string): Promise<boolean> {
  const question = url.indexOf("?");
  const answer = new URLSearchParams(question === -1 ? "" : url.slice(question + 1));
  const outcome = await deps.logins.finish(answer, readLoginCookie(exchange.request, rulesOf(deps)));
  if (outcome === undefined) return sendNothing(deps, exchange);
  const clear = { "set-cookie": clearLoginCookie(rulesOf(deps)) };
  if (outcome.state === "done") {
    return send(
      exchange.response,
      200,
      "Signed in",
      "Doorward can use the server now. You can close this page.",
      clear,
    );
  }
  const why = "The sign-in did not succeed. The terminal where it was begun, and the evidence, say why.";
  return send(exchange.response, 400, "Not signed in", why, clear);
}

/** For a link or an answer that belongs to no sign-in of this browser. */
function sendNothing(deps: UpstreamLoginRoutesDeps, { request, response, requestId }: Exchange): boolean {
  deps.stray(
    new Problem("invalid_request", { detail: "it belongs to no sign-in of this browser" }),
    requestId,
    request,
  );
  const text =
    "This link was used, has expired, or was opened in another browser. Begin again with `doorward service login`.";
  return send(response, 400, "Not signed in", text);
}

function send(
  response: ServerResponse,
  status: number,
  title: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): true {
  const body = Buffer.from(page(title, html`<p>${text}</p>`));
  response.writeHead(status, {
    ...PAGE_HEADERS,
    "referrer-policy": "no-referrer",
    ...headers,
    "content-length": body.length,
  });
  response.end(body);
  return true;
}

function rulesOf({ publicUrl }: UpstreamLoginRoutesDeps): CookieRules {
  const { protocol, port } = new URL(publicUrl());
  return { secure: protocol === "https:", port: port === "" ? "80" : port };
}
