import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { type Hole, html } from "./html.ts";
import type { Page } from "./send-page.ts";

/** The page where nobody is signed in yet. */
export function signInPage(deps: ConsoleDeps, visit: Visit, returnTo: string): Page {
  const provider = deps.oidc.provider();
  const approval = /^\/console\/approvals\/(apr_[0-9a-z]{1,64})$/.exec(returnTo)?.[1];
  const back = encodeURIComponent(returnTo);
  return {
    title: "Sign in",
    body: html`${provider !== undefined && html`<p><a href="/console/login/oidc?return=${back}">Sign in at ${provider}</a></p>`}
${
  visit.site !== undefined &&
  html`<form class="action" method="post" action="/console/login/passkey" data-passkey="use">
<input type="hidden" name="action" value="sign-in"><input type="hidden" name="return" value="${returnTo}"><input type="hidden" name="passkey" value="">
<button>Sign in with a passkey</button> <span class="answer" role="status"></span></form>`
}
${visit.site === undefined && atLocalhost(visit)}
<p>With a one-time link, made on the machine where Doorward runs:</p>
<pre>doorward person link --role approver</pre>
${
  approval !== undefined &&
  html`<p>To answer there, without signing in:</p>
<pre>doorward approvals show ${approval}
doorward approvals approve ${approval}
doorward approvals deny ${approval} --why "…"</pre>`
}`,
  };
}

/** An IP address cannot have passkeys; a program's question (`/oauth/`) waits at the address where it was asked. */
function atLocalhost({ url }: Visit): Hole {
  if (url.hostname !== "127.0.0.1" || url.search.includes("%2Foauth%2F")) return undefined;
  const there = new URL(url);
  there.hostname = "localhost";
  return html`<p><a href="${there.href}">Sign in with a passkey, at localhost</a></p>`;
}

/** Why a sign-in did not happen, in words that tell nothing to somebody who guesses. */
export function notSignedInPage(what: string): Page {
  return {
    status: 403,
    title: "Not signed in",
    body: html`<p class="note bad">${what}</p><p><a href="/console/login">Sign in</a></p>`,
  };
}

/**
 * Makes the browser come again from a page of ours: coming from another site (a chat, the provider) it leaves the
 * session's cookie at home.
 */
export function hopPage(url: string): Page {
  return {
    title: "One moment",
    body: html`<p><a href="${url}">Go on</a></p>`,
    refresh: { seconds: 0, url },
  };
}
