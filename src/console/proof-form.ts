import { CONSOLE_ACTIONS } from "./console-actions.ts";
import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { type Hole, html, type Markup } from "./html.ts";

/** One thing to do, as a form. */
export interface ActionForm {
  readonly action: string;
  readonly label: string;
  /** Hidden. */
  readonly fields: Readonly<Record<string, string>>;
  readonly inputs: Hole;
}

/** Whether a person must use a passkey for owner actions: at level 1, unless the company's provider vouches for them. */
export function needsPasskey(deps: Pick<ConsoleDeps, "level">, visit: Pick<Visit, "person">): boolean {
  return deps.level() > 0 && visit.person?.how !== "oidc";
}

/** A form that does one of {@link CONSOLE_ACTIONS}, with the passkey where it needs one. */
export function actionForm(deps: ConsoleDeps, visit: Visit, { action, label, fields, inputs }: ActionForm): Markup {
  const proven = CONSOLE_ACTIONS.find(({ name }) => name === action)?.proven === true && needsPasskey(deps, visit);
  if (proven && visit.site === undefined) return elsewhere(visit);
  const hidden = Object.entries({ ...fields, action, form: deps.sessions.formToken(visit.person!) });
  return html`<form class="action" method="post" action="/console/act"${proven && html` data-passkey="use"`}>
${hidden.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
${proven && html`<input type="hidden" name="passkey" value="">`}
${inputs} <button${/^(Deny|Stop|Take)/.test(label) && html` class="no"`}>${label}</button>
${proven && html`<span class="answer" role="status"></span>`}
</form>`;
}

function elsewhere({ url }: Visit): Markup {
  const there = new URL(url.pathname, url);
  there.hostname = "localhost";
  return html`<p class="note">This needs your passkey, and an IP address cannot have passkeys: open <a href="${there.href}">${there.href}</a>, or answer with <code>doorward approvals</code> on the terminal.</p>`;
}
