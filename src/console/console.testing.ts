import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { createKills } from "../approvals/create-kills.ts";
import { testApprovals, testKeyring } from "../approvals/hold-request.testing.ts";
import { createKillStore } from "../approvals/kill-store.ts";
import { newId } from "../base/ids.ts";
import { Problem } from "../base/problem.ts";
import { Secret } from "../base/secret.ts";
import type { PersonRole } from "../config/person-role.ts";
import type { PeopleConfig } from "../config/schema.ts";
import { testEgress } from "../egress/egress.testing.ts";
import { runAction } from "../http/admin-action.ts";
import { approvalActions } from "../http/admin-approvals.ts";
import { killActions } from "../http/admin-kills.ts";
import { checkHost, ownNames } from "../http/check-host.ts";
import { refuseRequest } from "../http/refuse-request.ts";
import { createAuthThrottle } from "../identity/auth-throttle.ts";
import { CLIENT } from "../oauth/foreign-provider.testing.ts";
import { openPeople } from "../oauth/open-people.ts";
import { createConsole } from "./create-console.ts";

/** What a browser shows of one page. */
export interface Seen {
  readonly status: number;
  readonly url: string;
  readonly text: string;
  readonly headers: Headers;
}

/** A browser of the simplest kind: cookies, redirects, forms; and what it says of itself. */
export function testBrowser(start: string) {
  const cookies = new Map<string, string>();
  const send = async (url: string, init: RequestInit = {}, hops = 0): Promise<Seen> => {
    const target = new URL(url, start);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { ...(cookie === "" ? {} : { cookie }), ...(init.headers as Record<string, string>) };
    const answer = await fetch(target, { ...init, headers, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value === "") cookies.delete(name!);
      else cookies.set(name!, value!);
    }
    const to = answer.headers.get("location");
    if (to !== null && hops < 20) return send(new URL(to, target).href, {}, hops + 1);
    const text = await answer.text();
    const refresh = /http-equiv="refresh" content="0; url=([^"]+)"/.exec(text)?.[1];
    if (refresh !== undefined && hops < 20)
      return send(new URL(refresh.replaceAll("&amp;", "&"), target).href, {}, hops + 1);
    return { status: answer.status, url: target.href, text, headers: answer.headers };
  };
  const post = (
    url: string,
    fields: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ) =>
    send(url, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: { origin: new URL(start).origin, ...headers },
    });
  return {
    cookies,
    get: (url: string, headers: Readonly<Record<string, string>> = {}) => send(url, { headers }),
    post,
    /** Sends the form with a button of this label, as it stands on the page, with some fields filled in. */
    press: (page: Seen, label: string, filled: Readonly<Record<string, string>> = {}) => {
      const { action, fields } = formOf(page, label);
      return post(new URL(action, page.url).href, { ...fields, ...filled });
    },
  };
}

/** The form of a page that has a button of this label. */
export function formOf(page: Seen, label: string) {
  const form = page.text.split("<form").find((part) => new RegExp(`<button[^>]*>${label}<`).test(part));
  assert.ok(form !== undefined, `no button ${label} on ${page.url}:\n${page.text}`);
  const inputs = [...form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
  return {
    action: /action="([^"]*)"/.exec(form)![1]!,
    passkey: /data-passkey="([^"]*)"/.exec(form)?.[1],
    fields: Object.fromEntries(inputs.map(([, name, value]) => [name!, value!.replaceAll("&quot;", '"')])),
  };
}

/** A console with its people, approvals and kills, on a listener of its own at `localhost`. */
export async function testConsole(context: TestContext) {
  const { store, audit, approvals } = testApprovals(context);
  const clock = {
    now: new Date("2026-03-01T10:00:00Z"),
    level: 0 as 0 | 1,
    provider: undefined as PeopleConfig | undefined,
  };
  const now = () => clock.now;
  let address = "";
  const people = await openPeople({
    db: store.db,
    keyring: testKeyring(),
    audit: audit.log,
    now,
    publicUrl: () => address,
    people: () => clock.provider,
    egress: testEgress(context),
    lease: async () => ({ secret: new Secret(CLIENT.secret), version: "1", expiresAt: clock.now, short: false }),
  });
  const kills = await createKills({ store: createKillStore(store.db), audit: audit.log, onChange: () => {} });
  const actions = [
    ...approvalActions({ approvals, now }),
    ...killActions({ kills, effects: { take: () => undefined }, now }),
  ];
  const side = createConsole({
    ...people,
    audit: audit.log,
    throttle: createAuthThrottle(),
    now,
    level: () => clock.level,
    act: runAction(actions),
    addressOf: () => "127.0.0.1",
    publicUrl: () => address,
  });
  const server = createServer((request, response) => {
    const id = newId("req");
    const refuse = (problem: Problem) => refuseRequest(request, response, problem, id);
    const stray = checkHost(
      request,
      ownNames({ host: "127.0.0.1", port: (server.address() as AddressInfo).port }, undefined),
    );
    if (stray !== undefined) return refuse(stray);
    Promise.resolve(side(request, response, id)).catch((error: unknown) =>
      refuse(error instanceof Problem ? error : new Problem("internal_error", { cause: error })),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  address = `http://127.0.0.1:${port}`;
  return {
    clock,
    audit,
    approvals,
    kills,
    people,
    site: { origin: `http://localhost:${port}`, rpId: "localhost" },
    url: `http://localhost:${port}`,
    /** How browsers come that were sent to us. */
    publicUrl: address,
    /** A browser where somebody signed in with a link. */
    async signedIn(role: PersonRole, name?: string) {
      const { token } = await people.links.make({ role, name, ttlSeconds: 60, by: "owner" });
      const browser = testBrowser(`http://localhost:${port}`);
      const page = await browser.get(`/console/link/${token}`);
      assert.equal(page.status, 200);
      return { browser, page };
    },
  };
}
