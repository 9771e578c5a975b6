import type { JsonObject, JsonValue } from "../base/json.ts";
import { mayDo } from "./console-actions.ts";
import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { dataTable } from "./data-table.ts";
import { type Hole, html, type Markup } from "./html.ts";
import { actionForm } from "./proof-form.ts";
import type { Page } from "./send-page.ts";

/** What the administrative actions say of an approval. */
interface Shown extends JsonObject {
  readonly id: string;
  readonly agent: string;
  readonly client: string;
  readonly service: string;
  readonly operation: string | null;
  readonly message: string;
  readonly digest: string;
  readonly status: string;
  readonly requested_at: string;
  readonly expires_at: string;
  readonly answered_by: string | null;
  readonly why: string | null;
  readonly quorum: number;
  readonly yeses: number;
}

/** Questions in one page; the command line lists more. */
const SHOWN_LIMIT = 100;

/** `/console/approvals`: what waits for an answer, and what was answered lately. */
export async function approvalsPage(deps: ConsoleDeps, by: string): Promise<Page> {
  const { approvals, altered } = (await deps.act("approvals.list", {}, by)) as {
    approvals: readonly Shown[];
    altered: readonly string[];
  };
  const open = approvals.filter(({ status }) => status === "pending");
  const answered = approvals.filter(({ status }) => status !== "pending");
  return {
    title: "Approvals",
    body: html`${altered.length > 0 && html`<p class="note bad">The records of ${altered.join(", ")} were altered outside Doorward; they count for nothing.</p>`}
<h2>Waiting (${open.length})</h2>
${open.length === 0 ? html`<p>Nothing waits for an answer.</p>` : table(open)}
<h2>Answered lately</h2>
${answered.length === 0 ? html`<p>Nothing.</p>` : table(answered)}`,
  };
}

/** `/console/approvals/ID`: the whole of what will be sent, the preview, and the answer. @throws {Problem} `not_found`. */
export async function approvalPage(deps: ConsoleDeps, visit: Visit, id: string): Promise<Page> {
  const person = visit.person!;
  const one = (await deps.act("approvals.show", { id }, person.id)) as Shown & {
    readonly request: JsonValue;
    readonly preview: JsonValue;
    readonly separate: boolean;
  };
  const asked = one.status === "pending" && mayDo(person, "approvals.approve");
  const fields = { id: one.id, digest: one.digest };
  return {
    title: one.message,
    body: html`<p>${state(one)}</p>
<dl>
<dt>Agent</dt><dd>${one.agent} (through ${one.client})</dd>
<dt>Operation</dt><dd>${one.service}:${one.operation ?? "(several)"}</dd>
<dt>Asked</dt><dd>${one.requested_at}</dd>
<dt>Until</dt><dd>${one.expires_at}</dd>
<dt>Answers</dt><dd>${one.yeses} of ${one.quorum}${one.separate && ", not by the person that the agent acts for"}</dd>
<dt>Digest</dt><dd><code>${one.digest}</code></dd>
</dl>
<h2>What will be sent</h2>
${request(one.request)}
<h2>Preview of its effect</h2>
${one.preview === null ? html`<p>There is none.</p>` : json(one.preview)}
${
  asked &&
  html`<h2>Your answer</h2>
${actionForm(deps, visit, { action: "approvals.approve", label: "Approve", fields, inputs: html`${HOW_OFTEN} ${whyInput("Why")}` })}
${actionForm(deps, visit, { action: "approvals.deny", label: "Deny", fields, inputs: whyInput("Why not (the agent is told)") })}`
}
${
  one.status === "granted" &&
  mayDo(person, "approvals.deny") &&
  actionForm(deps, visit, {
    action: "approvals.deny",
    label: "Take the yes back",
    fields,
    inputs: whyInput("Why it is taken back"),
  })
}
${one.status === "pending" && !asked && html`<p class="note">Your role does not answer; approvers and the owner do.</p>`}`,
  };
}

const HOW_OFTEN = html`<label>For
<select name="for"><option value="">one call</option><option value="10m">this call repeatedly, for 10 minutes</option><option value="1h">this call repeatedly, for an hour</option></select></label>`;

function whyInput(label: string): Markup {
  return html`<label>${label} <input name="why" maxlength="500" autocomplete="off"></label>`;
}

function table(approvals: readonly Shown[]): Hole {
  const row = (one: Shown) => [
    html`<a href="/console/approvals/${one.id}">${one.message}</a>`,
    one.agent,
    `${one.service}:${one.operation ?? "(several)"}`,
    state(one),
    one.expires_at,
  ];
  const columns = ["Call", "Agent", "Operation", "State", "Until"];
  return dataTable(columns, approvals.slice(0, SHOWN_LIMIT).map(row));
}

function state({ status, answered_by, why }: Shown): string {
  return `${status}${answered_by === null ? "" : ` by ${answered_by}`}${why === null || why === "" ? "" : `: ${why}`}`;
}

/** An HTTP call as it stands on the wire; anything else as the JSON that it is. */
function request(value: JsonValue): Markup {
  const call = value as { method?: unknown; url?: unknown; headers?: unknown; body?: unknown } | null;
  if (typeof call?.url !== "string" || !Array.isArray(call.headers)) return json(value);
  const { body } = call;
  const sent =
    body === null || body === undefined ? html`<p>No body.</p>` : html`<h3>Body</h3>${bodyOf(body as JsonValue)}`;
  return html`<pre>${String(call.method)} ${call.url}${call.headers.map((line) => `\n${String(line)}`)}</pre>${sent}`;
}

function bodyOf(body: JsonValue): Markup {
  return typeof body === "string" ? html`<pre>${body}</pre>` : json(body);
}

function json(value: JsonValue): Markup {
  return html`<pre>${JSON.stringify(value, null, 2)}</pre>`;
}
