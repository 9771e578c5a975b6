import { mayDo } from "./console-actions.ts";
import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { html } from "./html.ts";
import { actionForm } from "./proof-form.ts";
import type { Page } from "./send-page.ts";

interface ShownKill {
  readonly target: string;
  readonly why: string;
  readonly set_by: string;
  readonly set_at: string;
}

/** `/console/kills`: what is stopped, and the means to stop more or let it go on. */
export async function killsPage(deps: ConsoleDeps, visit: Visit): Promise<Page> {
  const person = visit.person!;
  const { kills } = (await deps.act("kill.list", {}, person.id)) as { kills: readonly ShownKill[] };
  const may = mayDo(person, "kill.set");
  const why = (label: string) =>
    html`<label>${label} <input name="why" maxlength="500" required autocomplete="off"></label>`;
  const target = html`<label>What to stop <input name="target" required size="32" autocomplete="off" placeholder="agent:NAME, service:NAME, … or all"></label>`;
  const one = (kill: ShownKill) => html`<h2>${kill.target}</h2>
<p>Stopped by ${kill.set_by} at ${kill.set_at}: ${kill.why}</p>
${may && actionForm(deps, visit, { action: "kill.lift", label: "Let it go on", fields: { target: kill.target }, inputs: why("Why it may go on") })}`;
  return {
    title: "Kills",
    body: html`${may && actionForm(deps, visit, { action: "kill.set", label: "Stop it now", fields: {}, inputs: html`${target} ${why("Why")}` })}
${kills.length === 0 ? html`<p>Nothing is stopped.</p>` : kills.map(one)}`,
  };
}
