import { Problem } from "../base/problem.ts";
import type { NewSession } from "../oauth/person-sessions.ts";
import type { ConsoleDeps, Visit } from "./console-deps.ts";
import { passkeyAnswer, signedIn } from "./do-action.ts";
import { SIGN_IN, siteOf } from "./passkey-steps.ts";
import { readForm } from "./read-form.ts";
import { sendPage, sendTo } from "./send-page.ts";
import { notSignedInPage } from "./sign-in-pages.ts";

const START = "/console/";

/** Where a sign-in leads: a page of ours, and nowhere else. */
export function returnOf(text: string | null | undefined): string {
  if (text === null || text === undefined || !/^\/(?:console|oauth)\/[\x21-\x5b\x5d-\x7e]{0,2000}$/.test(text))
    return START;
  const base = "http://doorward.invalid";
  const url = URL.canParse(text, base) ? new URL(text, base) : undefined;
  const stays = url?.origin === base && /^\/(?:console|oauth)\//.test(url.pathname);
  // A sign-out, or a link's use, is no place to come back to.
  return stays && !/^\/console\/(?:link|login)/.test(url.pathname) ? url.pathname + url.search : START;
}

/** `GET /console/link/TOKEN`: uses a one-time link up. */
export async function signInByLink(deps: ConsoleDeps, visit: Visit, token: string): Promise<void> {
  const { method, headers } = visit.request;
  // A preview or a prefetch must not use it up.
  if (method !== "GET" || /prefetch|preview/i.test(`${headers["sec-purpose"]} ${headers["purpose"]}`)) {
    throw new Problem("method_not_allowed", { remedy: "Open the link in a browser." });
  }
  const link = await deps.links.use(token);
  if (typeof link === "string") {
    return notSignedIn(deps, visit, {
      kind: "login_link",
      reason: link,
      what: "This link was used, has expired, or never was.",
    });
  }
  const { person, name, role } = link;
  await open(deps, visit, { person, name, how: "link", roles: [role], issuer: undefined, groups: [] }, START);
}

/** `POST /console/login/passkey`. */
export async function signInByPasskey(deps: ConsoleDeps, visit: Visit): Promise<void> {
  const form = await readForm(visit.request);
  const limited = deps.throttle.failed(deps.addressOf(visit.request), deps.now());
  if (limited.limited) throw new Problem("rate_limited", { fields: { retry_after: limited.retryAfterSeconds } });
  const { person, name, roles } = await deps.passkeys.prove(SIGN_IN, passkeyAnswer(form) ?? null, siteOf(visit));
  const who = { person, name, how: "passkey", roles, issuer: undefined, groups: [] } as const;
  await open(deps, visit, who, returnOf(form.get("return")));
}

/** `GET /console/login/oidc`: off to the company's provider. */
export async function beginOidc(deps: ConsoleDeps, visit: Visit): Promise<void> {
  if (deps.oidc.provider() === undefined) throw new Problem("not_found");
  // The provider leads back to the public name: a cookie of another name of this machine would not come along.
  const home = new URL(deps.publicUrl());
  if (visit.url.hostname === "localhost" && home.hostname === "127.0.0.1") {
    return sendTo(visit.response, visit.requestId, home.origin + visit.url.pathname + visit.url.search);
  }
  const { url, cookie } = await deps.oidc.begin(returnOf(visit.url.searchParams.get("return")));
  sendTo(visit.response, visit.requestId, url, [cookie]);
}

/** `GET /console/login/callback`: back from there. */
export async function finishOidc(deps: ConsoleDeps, visit: Visit): Promise<void> {
  if (deps.oidc.provider() === undefined) throw new Problem("not_found");
  const answer = await deps.oidc.finish(visit.url, visit.request);
  visit.response.setHeader("set-cookie", answer.clear);
  if (answer.ok) return open(deps, visit, answer.who, answer.returnTo, [answer.clear]);
  const what =
    answer.reason === "no_role" ? "None of your groups has a role here." : "The provider's answer does not hold.";
  await notSignedIn(deps, visit, { kind: "oidc", reason: answer.reason, person: answer.person, what });
}

/** `POST /console/logout`. */
export async function signOut(deps: ConsoleDeps, visit: Visit): Promise<void> {
  const person = await signedIn(deps, visit, await readForm(visit.request));
  sendTo(visit.response, visit.requestId, "/console/login", [await deps.sessions.close(person)]);
}

async function open(
  deps: ConsoleDeps,
  visit: Visit,
  who: NewSession,
  returnTo: string,
  cookies: readonly string[] = [],
): Promise<void> {
  // Whoever was signed in here before is not any more.
  if (visit.person !== undefined) await deps.sessions.close(visit.person);
  const { cookie } = await deps.sessions.open(who);
  sendTo(visit.response, visit.requestId, returnTo, [cookie, ...cookies]);
}

async function notSignedIn(
  deps: ConsoleDeps,
  visit: Visit,
  why: { readonly kind: string; readonly reason: string; readonly what: string; readonly person?: string | undefined },
): Promise<void> {
  const ip = deps.addressOf(visit.request);
  const limited = deps.throttle.failed(ip, deps.now());
  if (!limited.limited || limited.first) {
    const { kind, reason, person: user } = why;
    await deps.audit.append({
      type: "token.refused",
      request_id: visit.requestId,
      user,
      code: "invalid_token",
      data: { kind, reason: limited.limited ? "too_many_failures" : reason, ip },
    });
  }
  if (limited.limited) throw new Problem("rate_limited", { fields: { retry_after: limited.retryAfterSeconds } });
  const frame = { person: undefined, formToken: "", level: deps.level() };
  sendPage(visit.response, visit.requestId, notSignedInPage(why.what), frame);
}
