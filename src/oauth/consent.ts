import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Client, Interaction, Provider } from "oidc-provider";
import { Problem } from "../base/problem.ts";
import {
  type AuthorizationDetails,
  detailsOnWire,
  parseAuthorizationDetails,
  scopesLeft,
} from "./authorization-details.ts";
import type { OAuthClients } from "./oauth-clients.ts";
import { html, PAGE_HEADERS, page } from "./pages.ts";
import { hasRole, type Person } from "./person.ts";
import type { PersonSessions } from "./person-sessions.ts";
import { originalRequest } from "./public-request.ts";
import { EVERYTHING } from "./scopes.ts";

export interface ConsentDeps {
  readonly persons: PersonSessions;
  readonly clients: Pick<OAuthClients, "find">;
  /** 32 bytes. */
  readonly formKey: Buffer;
  readonly publicUrl: () => string;
  readonly refreshTtlSeconds: () => number;
  /** Puts the answer on record; without that nothing is granted. */
  readonly record: (answer: ConsentAnswer) => Promise<void>;
}

export interface ConsentAnswer {
  readonly answer: "granted" | "denied";
  readonly person: Person;
  readonly client: string;
  readonly agent: string | undefined;
  readonly redirect: string | undefined;
  readonly scopes: readonly string[];
  readonly details: AuthorizationDetails | undefined;
}

/** Where oidc-provider sends a browser whose person must say something. */
export const INTERACTION = /^\/oauth\/interaction\/[\w-]{1,100}$/;

/**
 * Serves the page that asks a person whether a client may act for them.
 *
 * It says what is at stake, is bound to this browser and this person by a cookie and a token in its form, cannot be
 * framed, and its answer covers one request of one client to one redirect URI.
 *
 * @param body - Of the form; empty on GET.
 */
export async function serveConsent(
  deps: ConsentDeps,
  provider: Provider,
  {
    view,
    response,
    body,
  }: { readonly view: IncomingMessage; readonly response: ServerResponse; readonly body: string },
): Promise<void> {
  const request = originalRequest(view);
  const interaction = await interactionOf(provider, view, response);
  const person = deps.persons.current(request);
  if (person === undefined) return toLogin(deps, request, response);
  const client = await provider.Client.find(String(interaction.params["client_id"]));
  if (client === undefined) throw new Problem("not_found");
  const details = detailsOf(interaction, deps.publicUrl());
  const token = formToken(deps.formKey, interaction.uid, person);
  if (request.method === "GET") {
    const asked = { interaction, client, person, token, details };
    return sendPage(response, "Let a program act for you?", question(deps, asked));
  }
  if (request.method !== "POST") throw new Problem("method_not_allowed");
  const form = new URLSearchParams(body);
  if (!isSame(form.get("token") ?? "", token)) {
    throw new Problem("invalid_request", { detail: "the form is not of this page", remedy: "Load the page again." });
  }
  const scopes = scopesOf(interaction);
  const answer = form.get("answer") === "allow" ? "granted" : "denied";
  if (answer === "granted" && !hasRole(person, "approver", "operator")) {
    throw new Problem("denied", { detail: "this person may look, and not let anything act" });
  }
  const redirect = textOf(interaction.params["redirect_uri"]);
  const agent = deps.clients.find(client.clientId)?.agent;
  await deps.record({ answer, person, client: client.clientId, agent, redirect, scopes, details });
  const result =
    answer === "granted" ? await grant(provider, { interaction, client, person, scopes, details }) : DENIED;
  await provider.interactionFinished(view, response, result, { mergeWithLastSubmission: false });
}

const DENIED = { error: "access_denied", error_description: "the person said no" };

async function interactionOf(provider: Provider, request: IncomingMessage, response: ServerResponse) {
  try {
    const interaction = await provider.interactionDetails(request, response);
    if (request.url?.split("?", 1)[0] === `/oauth/interaction/${interaction.uid}`) return interaction;
  } catch {
    // Told apart for nobody: no cookie, another browser's page, or too late.
  }
  throw new Problem("invalid_request", {
    detail: "this login has ended, or belongs to another browser",
    remedy: "Start it again in the program that wants to connect.",
  });
}

/**
 * A cookie with `SameSite=Strict` does not come with a page that another site opened, although the person is signed in:
 * our own page opens it once more.
 */
function toLogin({ persons }: ConsentDeps, request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? "/").split("?", 1)[0]!;
  if (request.headers["sec-fetch-site"] === "cross-site" && request.url === path) {
    response.setHeader("refresh", `0; url=${path}?again`);
    sendPage(response, "One moment", html`<p><a href="${path}?again">Continue</a></p>`);
    return;
  }
  response.writeHead(303, { location: persons.loginUrl(path), "cache-control": "no-store" }).end();
}

interface Asked {
  readonly interaction: Interaction;
  readonly client: Client;
  readonly person: Person;
  readonly token: string;
  readonly details: AuthorizationDetails | undefined;
}

function question(
  { clients, refreshTtlSeconds }: ConsentDeps,
  { interaction, client, person, token, details = {} }: Asked,
) {
  const redirect = textOf(interaction.params["redirect_uri"]);
  const scopes = scopesLeft(scopesOf(interaction), details);
  const agent = clients.find(client.clientId)?.agent;
  const all = scopes.includes(EVERYTHING);
  const what = all
    ? html`<p>All that its agent may do.</p>`
    : html`<ul>${scopes.map((scope) => html`<li><code>${scope}</code></li>`)}</ul>`;
  const who =
    agent === undefined
      ? html`<p><strong>This program registered itself, and nobody vouches for its name.</strong> It may do nothing until the owner
          says <code>doorward agent adopt ${client.clientId} --as NAME --role ROLE</code>.</p>`
      : html`<p>It acts as the agent <code>${agent}</code>.</p>`;
  const where =
    redirect === undefined
      ? html`<dt>How</dt><dd>A device shows a code, and you typed it.</dd>`
      : html`<dt>The answer goes to</dt><dd><strong>${hostOf(redirect)}</strong><br><code>${redirect}</code></dd>`;
  const days = Math.max(1, Math.round(refreshTtlSeconds() / 86_400));
  return html`${who}<dl>
<dt>Program</dt><dd>${plain(client.clientName ?? client.clientId)}<br><code>${client.clientId}</code></dd>
${where}
<dt>What it may do</dt><dd>${what}</dd>
${contextOf(details)}
<dt>How long</dt><dd>Until you or the owner end it, or ${String(days)} days after its last use.</dd>
<dt>You are</dt><dd>${person.name}</dd></dl>
<form method="post"><input type="hidden" name="token" value="${token}">
<button name="answer" value="deny">No</button><button name="answer" value="allow">Let it act</button></form>`;
}

/** What a token is bound to beside its operations, in words. */
function contextOf({ purpose, task, tenant, role, locations }: AuthorizationDetails) {
  const lines = [
    ["for the purpose", purpose],
    ["for the task", task],
    ["for the tenant", tenant],
    ["in the role", role],
    ["at", locations?.join(", ")],
  ].flatMap(([what, value]) => (value === undefined ? [] : [html`<li>${what!} <code>${value}</code></li>`]));
  if (lines.length === 0) return html``;
  return html`<dt>Only</dt><dd><ul>${lines}</ul></dd>`;
}

async function grant(
  provider: Provider,
  asked: Omit<Asked, "token"> & { readonly scopes: readonly string[] },
): Promise<{ [field: string]: unknown }> {
  const { interaction, client, person, scopes, details } = asked;
  const granted = new provider.Grant({ accountId: person.id, clientId: client.clientId });
  for (const resource of [interaction.params["resource"]].flat()) {
    if (typeof resource === "string") granted.addResourceScope(resource, scopes.join(" "));
  }
  for (const detail of details === undefined ? [] : detailsOnWire(details)) granted.addRar(detail);
  const grantId = await granted.save();
  return { login: { accountId: person.id, remember: false }, consent: { grantId } };
}

function scopesOf({ params }: Interaction): readonly string[] {
  return textOf(params["scope"])?.split(" ") ?? [];
}

function detailsOf({ params }: Interaction, publicUrl: string): AuthorizationDetails | undefined {
  const text = textOf(params["authorization_details"]);
  const read = text === undefined ? undefined : parseAuthorizationDetails(text, publicUrl);
  if (read?.ok === false) throw new Problem("invalid_request", { detail: read.problem });
  return read?.details;
}

function formToken(key: Buffer, uid: string, { id, session }: Person): string {
  return createHmac("sha256", key)
    .update(JSON.stringify([uid, id, session]))
    .digest("base64url");
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function hostOf(redirect: string): string {
  const url = URL.parse(redirect);
  if (url === null) return redirect;
  return url.host === "" || !url.protocol.startsWith("http")
    ? `a program on this computer (${url.protocol})`
    : url.host;
}

/** A name that a stranger chose, without characters that turn or hide text. */
function plain(name: string): string {
  return name.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "").slice(0, 100);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function sendPage(response: ServerResponse, title: string, body: ReturnType<typeof html>): void {
  response.writeHead(200, PAGE_HEADERS).end(page(title, body));
}
