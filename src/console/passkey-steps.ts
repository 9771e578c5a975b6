import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Person } from "../oauth/person.ts";
import type { Site } from "../oauth/webauthn.ts";
import { boundText } from "./console-actions.ts";
import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { allowedAction, passkeyAnswer, signedIn } from "./do-action.ts";
import { mayAddPasskey } from "./me-page.ts";
import { readForm } from "./read-form.ts";
import { PAGE_HEADERS, sendTo } from "./send-page.ts";

/** What a sign-in's challenge is bound to. */
export const SIGN_IN = "sign-in\n";

/** `POST /console/passkey/request`: a challenge for what the form asks for, or for signing in. */
export async function requestOptions(deps: ConsoleDeps, visit: Visit): Promise<void> {
  const form = await readForm(visit.request);
  const site = siteOf(visit);
  if (form.get("action") === "sign-in") {
    return sendJson(visit, await deps.passkeys.request(SIGN_IN, undefined, site));
  }
  const person = await signedIn(deps, visit, form);
  const action = await allowedAction(deps, visit, person, form);
  sendJson(visit, await deps.passkeys.request(boundText(person, action, form), person, site));
}

/** `POST /console/passkey/creation`: what a new key is made with. */
export async function creationOptions(deps: ConsoleDeps, visit: Visit): Promise<void> {
  const person = await freshPerson(deps, visit, await readForm(visit.request));
  sendJson(visit, await deps.passkeys.creation(person, siteOf(visit)));
}

/** `POST /console/passkey/add`: keeps the new key. */
export async function addPasskey(deps: ConsoleDeps, visit: Visit): Promise<void> {
  const form = await readForm(visit.request);
  const person = await freshPerson(deps, visit, form);
  await deps.passkeys.add(person, passkeyAnswer(form) ?? null, siteOf(visit));
  sendTo(visit.response, visit.requestId, "/console/me");
}

async function freshPerson(deps: ConsoleDeps, visit: Visit, form: ReadonlyMap<string, string>): Promise<Person> {
  const person = await signedIn(deps, visit, form);
  if (mayAddPasskey(person, deps.now())) return person;
  throw new Problem("denied", {
    detail: "a passkey is added right after signing in with a link",
    remedy: "Sign in anew with `doorward person link`.",
  });
}

/** @throws {Problem} `invalid_request` at an IP address. */
export function siteOf({ site }: Visit): Site {
  if (site !== undefined) return site;
  throw new Problem("invalid_request", {
    detail: "an IP address cannot have passkeys",
    remedy: "Open the console at `localhost`, or at the name in `server.public_url`.",
  });
}

function sendJson({ response, requestId }: Visit, value: JsonObject): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(200, {
    ...PAGE_HEADERS,
    "content-type": "application/json",
    "content-length": body.length,
    "doorward-request-id": requestId,
  });
  response.end(body);
}
