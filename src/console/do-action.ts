import type { JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { hasRole, type Person } from "../oauth/person.ts";
import { actionOf, boundText, type ConsoleAction } from "./console-actions.ts";
import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { needsPasskey } from "./proof-form.ts";
import { type Form, field, readForm } from "./read-form.ts";
import { sendTo } from "./send-page.ts";

/** `POST /console/act`: does what a form asks for, if its person may, and has proven it where that is needed. */
export async function doAction(deps: ConsoleDeps, visit: Visit): Promise<void> {
  const form = await readForm(visit.request);
  const person = await signedIn(deps, visit, form);
  const action = await allowedAction(deps, visit, person, form);
  if (action.proven && needsPasskey(deps, visit)) await checkProof(deps, visit, person, { action, form });
  await deps.act(action.name, action.args(form), person.id);
  sendTo(visit.response, visit.requestId, action.leadsTo(form));
}

/**
 * The person whose form this is. A page of another site knows neither the cookie nor the form's token.
 *
 * @throws {Problem} `invalid_token` when nobody is signed in; `denied` for a form of another session.
 */
export async function signedIn(deps: ConsoleDeps, visit: Visit, form: Form): Promise<Person> {
  const { person } = visit;
  if (person === undefined) {
    throw new Problem("invalid_token", { detail: "nobody is signed in", remedy: "Sign in at `/console/login`." });
  }
  if (deps.sessions.isFormToken(person, form.get("form") ?? "")) return person;
  await refused(deps, visit, { reason: "form_token" });
  throw new Problem("denied", {
    detail: "the form is not of this session",
    remedy: "Go back, reload the page and send it again.",
  });
}

/** What the form asks for. @throws {Problem} `denied` when the person's roles do not allow it. */
export async function allowedAction(
  deps: ConsoleDeps,
  visit: Visit,
  person: Person,
  form: Form,
): Promise<ConsoleAction> {
  const action = actionOf(form);
  if (hasRole(person, ...action.roles)) return action;
  await refused(deps, visit, { reason: "role", action: action.name });
  throw new Problem("denied", {
    detail: `your role (${person.roles.join(", ")}) does not allow this`,
    remedy: `Ask somebody who is ${["owner", ...action.roles].join(" or ")}.`,
  });
}

async function checkProof(
  deps: ConsoleDeps,
  visit: Visit,
  person: Person,
  { action, form }: { readonly action: ConsoleAction; readonly form: Form },
): Promise<void> {
  const answer = passkeyAnswer(form);
  if (visit.site === undefined || answer === undefined) {
    await refused(deps, visit, { reason: "passkey_missing", action: action.name });
    throw new Problem("denied", {
      detail: "this is an owner action: it needs your passkey",
      remedy: "Add a passkey under `You`, or answer on the terminal, where the owner's passphrase is asked for.",
    });
  }
  const key = await deps.passkeys.prove(boundText(person, action, form), answer, visit.site);
  if (key.person === person.id && hasRole(key, ...action.roles)) return;
  await refused(deps, visit, { reason: "passkey_of_another", action: action.name });
  throw new Problem("denied", { detail: "the passkey is another person's", remedy: "Use your own." });
}

/** What the script put into the form; `undefined` when it put nothing there. @throws {Problem} `invalid_request`. */
export function passkeyAnswer(form: Form): JsonValue | undefined {
  const text = form.get("passkey") ?? "";
  if (text === "") return undefined;
  const parsed = parseStrictJson(field(form, "passkey"));
  if (parsed.ok) return parsed.value;
  throw new Problem("invalid_request", { detail: "the passkey's answer is not JSON" });
}

async function refused(
  deps: ConsoleDeps,
  { person, requestId, request }: Visit,
  data: { readonly reason: string; readonly action?: string },
): Promise<void> {
  await deps.audit.append({
    type: "token.refused",
    request_id: requestId,
    user: person?.id,
    code: "denied",
    data: { kind: "session", token: person?.session, ...data, ip: deps.addressOf(request) },
  });
}
