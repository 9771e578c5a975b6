import { hasRole, type Person } from "../oauth/person.ts";
import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { dataTable } from "./data-table.ts";
import { html } from "./html.ts";
import type { Page } from "./send-page.ts";

/** A passkey is made right after signing in: a cookie that somebody finds later makes none. */
const FRESH_MS = 10 * 60_000;

/** Whether a person may make a passkey now. Those of a provider have their provider's means. */
export function mayAddPasskey(person: Person, now: Date): boolean {
  return person.how !== "oidc" && now.getTime() - person.since.getTime() < FRESH_MS;
}

/** `/console/me`: who is signed in, and with what. */
export async function mePage(deps: ConsoleDeps, visit: Visit): Promise<Page> {
  const person = visit.person!;
  const keys = (await deps.passkeys.list()).filter((key) => key.person === person.id);
  return {
    title: "You",
    body: html`<dl>
<dt>Name</dt><dd>${person.name} (${person.id})</dd>
<dt>Roles</dt><dd>${person.roles.join(", ")}</dd>
<dt>Signed in</dt><dd>${person.since.toISOString()}, by ${person.how}</dd>
<dt>Until</dt><dd>${person.expiresAt.toISOString()}</dd>
<dt>Assurance</dt><dd>level ${deps.level()}: ${
      deps.level() === 0
        ? "this session is enough to answer"
        : "each answer needs your passkey, or the owner's passphrase on the terminal"
    }</dd>
</dl>
<h2>Passkeys</h2>
${keys.length === 0 ? html`<p>None.</p>` : html`<ul>${keys.map((key) => html`<li><code>${key.id.slice(0, 16)}…</code> at ${key.rpId}, since ${key.createdAt.toISOString()}</li>`)}</ul>`}
${adding(deps, visit, person)}
${hasRole(person, "auditor") && everybody(deps)}`,
  };
}

function everybody({ sessions }: ConsoleDeps) {
  const row = ({ id, name, roles, how, since, expiresAt }: Person) => [
    `${name} (${id})`,
    roles.join(", "),
    how,
    since.toISOString(),
    expiresAt.toISOString(),
  ];
  return html`<h2>Everybody who is signed in</h2>
${dataTable(["Person", "Roles", "By", "Since", "Until"], sessions.list().map(row))}`;
}

function adding(deps: ConsoleDeps, { site, url }: Visit, person: Person) {
  if (person.how === "oidc") return html`<p>Your provider signs you in; you need none here.</p>`;
  if (site === undefined) {
    const here = new URL("/console/me", url);
    here.hostname = "localhost";
    return html`<p class="note">An IP address cannot have passkeys: open the next one-time link at <code>${here.origin}</code> instead.</p>`;
  }
  if (!mayAddPasskey(person, deps.now())) {
    return html`<p class="note">To add one, sign in anew: <code>doorward person link</code>.</p>`;
  }
  return html`<form class="action" method="post" action="/console/passkey/add" data-passkey="create">
<input type="hidden" name="form" value="${deps.sessions.formToken(person)}"><input type="hidden" name="passkey" value="">
<button>Add a passkey</button> <span class="answer" role="status"></span></form>`;
}
