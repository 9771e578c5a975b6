import type { ServerResponse } from "node:http";
import { VERSION } from "../base/version.ts";
import type { Person } from "../oauth/person.ts";
import { type Hole, html, type Markup } from "./html.ts";

/** One page. */
export interface Page {
  readonly title: string;
  readonly body: Hole;
  /** 200 where none is given. */
  readonly status?: number;
  readonly cookies?: readonly string[];
  /** Seconds after which the browser comes again; for pages that wait. */
  readonly refresh?: { readonly seconds: number; readonly url: string };
}

/** What stands around every page. */
export interface Frame {
  readonly person: Person | undefined;
  /** Of the person's session. */
  readonly formToken: string;
  readonly level: 0 | 1;
}

/**
 * What every answer of the console carries. No script but ours, no style but ours, nothing from elsewhere, no frame.
 *
 * The referrer policy is not `no-referrer`: with that, browsers say `Origin: null` for our own forms.
 */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

/** Sends a page in the console's frame. */
export function sendPage(response: ServerResponse, requestId: string, page: Page, frame: Frame): void {
  const body = Buffer.from(documentOf(page, frame).text);
  response.writeHead(page.status ?? 200, {
    ...PAGE_HEADERS,
    "content-type": "text/html; charset=utf-8",
    "content-length": body.length,
    "doorward-request-id": requestId,
    ...(page.cookies === undefined ? {} : { "set-cookie": [...page.cookies] }),
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

/** Sends the browser elsewhere, to be asked for with GET. */
export function sendTo(
  response: ServerResponse,
  requestId: string,
  url: string,
  cookies: readonly string[] = [],
): void {
  response.writeHead(303, {
    ...PAGE_HEADERS,
    location: url,
    "content-length": 0,
    "doorward-request-id": requestId,
    ...(cookies.length === 0 ? {} : { "set-cookie": [...cookies] }),
  });
  response.end();
}

function documentOf({ title, body, refresh }: Page, frame: Frame): Markup {
  const again = refresh && html`<meta http-equiv="refresh" content="${refresh.seconds}; url=${refresh.url}">`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${again}<title>${title} · Doorward</title>
<link rel="stylesheet" href="/console/style.css">
<script src="/console/console.js" defer></script>
</head>
<body>
${frame.person === undefined ? html`<header><strong>Doorward</strong></header>` : header(frame.person, frame)}
<main>
<h1>${title}</h1>
${body}
</main>
<footer>Doorward ${VERSION} · assurance level ${frame.level}</footer>
</body>
</html>
`;
}

function header(person: Person, { formToken }: Frame): Markup {
  return html`<header>
<strong>Doorward</strong>
<nav><a href="/console/approvals">Approvals</a> <a href="/console/kills">Kills</a> <a href="/console/me">You</a></nav>
<form method="post" action="/console/logout"><input type="hidden" name="form" value="${formToken}">
<span>${person.name} (${person.roles.join(", ")})</span> <button>Sign out</button></form>
</header>`;
}
