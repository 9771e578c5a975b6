import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import { Problem } from "../base/problem.ts";
import { sendProblem } from "../base/send-problem.ts";
import type { SideRoute } from "../http/create-front.ts";
import { approvalPage, approvalsPage } from "./approval-pages.ts";
import { SCRIPT, STYLE } from "./assets.ts";
import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { doAction } from "./do-action.ts";
import { findSite } from "./find-site.ts";
import { html } from "./html.ts";
import { killsPage } from "./kill-pages.ts";
import { mePage } from "./me-page.ts";
import { addPasskey, creationOptions, requestOptions } from "./passkey-steps.ts";
import { type Frame, PAGE_HEADERS, type Page, sendPage, sendTo } from "./send-page.ts";
import { beginOidc, finishOidc, returnOf, signInByLink, signInByPasskey, signOut } from "./sign-in.ts";
import { hopPage, signInPage } from "./sign-in-pages.ts";

const PREFIX = "/console";

/** Serves `/console/`: what people see and answer in a browser. */
export function createConsole(deps: ConsoleDeps): SideRoute {
  return async (request, response, requestId) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    if (path !== PREFIX && !path.startsWith(`${PREFIX}/`)) return false;
    const visit = visitOf(deps, request, response, requestId);
    try {
      await route(deps, visit);
    } catch (error) {
      if (!(error instanceof Problem) || response.headersSent) throw error;
      refuse(deps, visit, error);
    }
    return true;
  };
}

function visitOf(deps: ConsoleDeps, request: IncomingMessage, response: ServerResponse, requestId: string): Visit {
  const scheme = (request.socket as Partial<TLSSocket>).encrypted === true ? "https" : "http";
  const url = new URL(request.url ?? "", `${scheme}://${request.headers.host}`);
  const person = deps.sessions.current(request);
  return { request, response, requestId, url, person, site: findSite(request, deps.publicUrl()) };
}

async function route(deps: ConsoleDeps, visit: Visit): Promise<void> {
  const { request, url } = visit;
  const step = url.pathname.slice(PREFIX.length + 1);
  if (request.method === "POST") return post(deps, visit, step);
  if (request.method !== "GET" && request.method !== "HEAD") throw new Problem("method_not_allowed");
  if (step === "style.css") return asset(visit, "text/css", STYLE);
  if (step === "console.js") return asset(visit, "text/javascript", SCRIPT);
  if (step.startsWith("link/")) return signInByLink(deps, visit, step.slice("link/".length));
  if (step === "login/oidc") return beginOidc(deps, visit);
  if (step === "login/callback") return finishOidc(deps, visit);
  if (visit.person === undefined && isFromElsewhere(request))
    return page(deps, visit, hopPage(url.pathname + url.search));
  if (step === "login") return login(deps, visit);
  if (visit.person === undefined) return go(visit, deps.sessions.loginUrl(url.pathname));
  return page(deps, visit, await pageOf(deps, visit, step));
}

async function pageOf(deps: ConsoleDeps, visit: Visit, step: string): Promise<Page> {
  const approval = /^approvals\/(apr_[0-9a-z]{1,64})$/.exec(step)?.[1];
  if (approval !== undefined) return approvalPage(deps, visit, approval);
  if (step === "" || step === "approvals") return approvalsPage(deps, visit.person!.id);
  if (step === "kills") return killsPage(deps, visit);
  if (step === "me") return mePage(deps, visit);
  throw new Problem("not_found", { remedy: "Begin at `/console/`." });
}

async function post(deps: ConsoleDeps, visit: Visit, step: string): Promise<void> {
  switch (step) {
    case "act":
      return doAction(deps, visit);
    case "logout":
      return signOut(deps, visit);
    case "login/passkey":
      return signInByPasskey(deps, visit);
    case "passkey/request":
      return requestOptions(deps, visit);
    case "passkey/creation":
      return creationOptions(deps, visit);
    case "passkey/add":
      return addPasskey(deps, visit);
    default:
      throw new Problem("not_found", { remedy: "Begin at `/console/`." });
  }
}

function login(deps: ConsoleDeps, visit: Visit): void {
  const returnTo = returnOf(visit.url.searchParams.get("return"));
  if (visit.person === undefined) page(deps, visit, signInPage(deps, visit, returnTo));
  else go(visit, returnTo);
}

/** Whether the browser comes from another site, and so without the session's cookie, even if it has one. */
function isFromElsewhere(request: IncomingMessage): boolean {
  const site = request.headers["sec-fetch-site"];
  return site === "cross-site" || site === "same-site";
}

function frameOf(deps: ConsoleDeps, { person }: Visit): Frame {
  const formToken = person === undefined ? "" : deps.sessions.formToken(person);
  return { person, formToken, level: deps.level() };
}

function page(deps: ConsoleDeps, visit: Visit, shown: Page): void {
  sendPage(visit.response, visit.requestId, shown, frameOf(deps, visit));
}

function go({ response, requestId }: Visit, url: string): void {
  sendTo(response, requestId, url);
}

/** A refusal: a page for a browser, a problem document for our script. */
function refuse(deps: ConsoleDeps, visit: Visit, problem: Problem): void {
  const { request, response, requestId } = visit;
  if (visit.url.pathname.startsWith("/console/passkey/") || !request.complete) {
    const headers = request.complete ? {} : { connection: "close" };
    sendProblem(response, problem, requestId, { ...PAGE_HEADERS, ...headers });
    return;
  }
  const retry = problem.fields.retry_after;
  if (retry !== undefined) response.setHeader("retry-after", String(Math.max(1, Math.ceil(retry))));
  if (problem.status === 405) response.setHeader("allow", "GET, HEAD, POST");
  response.setHeader("doorward-error", problem.code);
  const body = html`<p class="note bad">${problem.message}. ${problem.remedy}</p>
<p><a href="/console/">Back</a> <small>${requestId}</small></p>`;
  page(deps, visit, { status: problem.status, title: problem.title, body });
}

function asset({ request, response, requestId }: Visit, type: string, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(200, {
    ...PAGE_HEADERS,
    "content-type": `${type}; charset=utf-8`,
    "content-length": body.length,
    "doorward-request-id": requestId,
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
