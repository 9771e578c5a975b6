import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { holdRequest } from "../approvals/hold-request.testing.ts";
import type { PersonRole } from "../config/person-role.ts";
import type { PeopleConfig } from "../config/schema.ts";
import { parseServiceUrl } from "../config/service-url.ts";
import { CLIENT, foreignProvider } from "../oauth/foreign-provider.testing.ts";
import { testBrowser, testConsole } from "./console.testing.ts";

/** A console, and the company's provider. */
async function company(context: TestContext) {
  const stage = await testConsole(context);
  const provider = await foreignProvider(context, `${stage.publicUrl}/console/login/callback`);
  const url = parseServiceUrl(provider.issuer);
  assert.ok(url.ok);
  const people: PeopleConfig = {
    issuer: provider.issuer,
    url: url.value,
    clientId: CLIENT.id,
    secret: "local:oidc",
    tokenOrigin: url.value.origin,
    private: true,
    scopes: ["openid", "profile", "groups"],
    groupsClaim: "groups",
    roles: new Map<string, PersonRole>([
      ["admins", "approver"],
      ["watchers", "auditor"],
    ]),
  };
  stage.clock.provider = people;
  const reasons = () =>
    stage.audit.events.filter(({ type }) => type === "token.refused").map(({ data }) => data?.["reason"]);
  return { ...stage, ...provider, people, reasons, browser: testBrowser(stage.publicUrl) };
}

test("a person logs in at the company's provider, gets the mapped role and approves a call", async (context) => {
  const { browser, approvals, clock, audit, seen } = await company(context);
  const { approval } = await approvals.hold(holdRequest());
  clock.level = 1;
  const path = `/console/approvals/${approval.id}`;
  const login = await browser.get(path);
  const link = /href="(\/console\/login\/oidc[^"]*)"/.exec(login.text)?.[1];
  const page = await browser.get(link!.replaceAll("&amp;", "&"));
  assert.ok(page.url.endsWith(path), page.url + page.text);
  assert.match(page.text, /Alice Liddell \(approver\)/);
  assert.match((await browser.press(page, "Approve")).text, /granted by user:alice/);
  assert.equal(audit.events.findLast(({ type }) => type === "approval.granted")?.data?.["by"], "user:alice");
  const issued = audit.events.find(({ type }) => type === "token.issued");
  assert.equal(issued?.user, "user:alice");
  assert.equal(issued?.data?.["how"], "oidc");
  const withSecret = seen.filter(({ authorization }) => authorization?.startsWith("Basic "));
  assert.deepEqual(
    withSecret.map(({ path: where }) => where),
    ["/token"],
  );
  assert.deepEqual(
    [...browser.cookies.keys()].filter((name) => name.startsWith("doorward-login")),
    [],
  );
});

test("the roles are those of the groups, now: a group that is taken out ends it", async (context) => {
  const stage = await company(context);
  stage.login.groups = ["watchers", "staff"];
  const page = await stage.browser.get("/console/login/oidc");
  assert.match(page.text, /\(auditor\)/);
  stage.clock.provider = { ...stage.people, roles: new Map([["admins", "owner"]]) };
  assert.match((await stage.browser.get("/console/")).url, /\/console\/login/);
});

test("nobody gets in without a group that has a role, and that is evidence with their name", async (context) => {
  const { browser, login, audit } = await company(context);
  for (const groups of [["staff"], [], undefined, "staff", { admins: true }, [["admins"]]]) {
    login.groups = groups;
    const page = await browser.get("/console/login/oidc");
    assert.equal(page.status, 403);
  }
  const event = audit.events.findLast(({ type }) => type === "token.refused");
  assert.equal(event?.user, "user:alice");
  assert.equal(event?.data?.["reason"], "no_role");
});

test("a login that another browser began, that was bent, or that was finished already does not hold", async (context) => {
  const { browser, publicUrl, reasons } = await company(context);
  const begin = await fetch(`${publicUrl}/console/login/oidc`, { redirect: "manual" });
  const theirs = begin.headers.getSetCookie()[0]!.split(";", 1)[0]!;
  const [name, value] = theirs.split("=") as [string, string];
  const callback = `${publicUrl}/console/login/callback`;
  assert.equal((await browser.get(`${callback}?code=x&state=y`)).status, 403);
  browser.cookies.set(name, value);
  assert.equal((await browser.get(`${callback}?code=x&state=wrong`)).status, 403);
  browser.cookies.set(name, `${value.slice(0, -2)}AA`);
  assert.equal((await browser.get(`${callback}?code=x&state=y`)).status, 403);
  const state = new URL(begin.headers.get("location")!).searchParams.get("state")!;
  const { issuer } = { issuer: new URL(begin.headers.get("location")!).origin };
  browser.cookies.set(name, value);
  const mixed = `${callback}?code=x&state=${state}&iss=${encodeURIComponent("https://evil.example")}`;
  assert.equal((await browser.get(mixed)).status, 403);
  browser.cookies.set(name, value);
  const guessed = `${callback}?code=guess&state=${state}&iss=${encodeURIComponent(issuer)}`;
  assert.equal((await browser.get(guessed)).status, 403);
  assert.equal(reasons().length, 5);
  assert.ok(reasons().every((reason) => typeof reason === "string" && !String(reason).includes("guess")));
});

test("a callback is good once", async (context) => {
  const { browser, publicUrl } = await company(context);
  const first = await fetch(`${publicUrl}/console/login/oidc`, { redirect: "manual" });
  const cookie = first.headers.getSetCookie()[0]!.split(";", 1)[0]!;
  const at = testBrowser(publicUrl);
  let next = first.headers.get("location")!;
  const jar = new Map<string, string>();
  while (!next.startsWith(`${publicUrl}/console/login/callback`)) {
    const step = await fetch(next, {
      redirect: "manual",
      headers: { cookie: [...jar].map(([k, v]) => `${k}=${v}`).join("; ") },
    });
    for (const line of step.headers.getSetCookie()) {
      const [, k, v] = /^([^=]+)=([^;]*)/.exec(line)!;
      jar.set(k!, v!);
    }
    next = new URL(step.headers.get("location")!, next).href;
  }
  const [k, v] = cookie.split("=") as [string, string];
  for (const one of [at, browser]) one.cookies.set(k, v);
  assert.equal((await at.get(next)).status, 200);
  assert.equal((await browser.get(next)).status, 403);
});

test("a forged ID token is refused: another signature, another audience, no algorithm", async (context) => {
  const { browser, login, reasons } = await company(context);
  const bent = (change: (parts: string[]) => string[]) => (path: string, body: string) => {
    if (path !== "/token") return body;
    const answer = JSON.parse(body) as { id_token: string };
    return JSON.stringify({ ...answer, id_token: change(answer.id_token.split(".")).join(".") });
  };
  const json = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString("utf8")) as object;
  const text = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const forgeries = [
    bent(([h, p, s]) => [h!, text({ ...json(p!), groups: ["admins"], sub: "mallory" }), s!]),
    bent(([, p]) => [text({ alg: "none" }), p!, ""]),
    bent(([h, p, s]) => [h!, text({ ...json(p!), aud: "another" }), s!]),
    bent(([h, p, s]) => [h!, text({ ...json(p!), nonce: "another" }), s!]),
    bent(([h, p, s]) => [h!, text({ ...json(p!), iss: "https://evil.example" }), s!]),
    bent(([h, p, s]) => [h!, text({ ...json(p!), exp: 1 }), s!]),
    bent(([h, p, s]) => [h!, p!, `${s!.slice(0, -4)}AAAA`]),
  ];
  for (const forge of forgeries) {
    login.bend = forge;
    assert.equal((await browser.get("/console/login/oidc")).status, 403);
  }
  assert.equal(reasons().length, forgeries.length);
});

test("a person who says no, and a provider that is away, are told apart", async (context) => {
  const { browser, login, reasons, people, clock } = await company(context);
  login.refuse = true;
  assert.equal((await browser.get("/console/login/oidc")).status, 403);
  assert.deepEqual(reasons(), ["access_denied"]);
  clock.provider = { ...people, issuer: "http://127.0.0.1:1" };
  assert.equal((await browser.get("/console/login/oidc")).status, 502);
});

test("a private provider is asked only where the file says so, and the secret goes to no other origin", async (context) => {
  const { browser, people, clock, seen } = await company(context);
  clock.provider = { ...people, private: false };
  assert.equal((await browser.get("/console/login/oidc")).status, 502);
  assert.deepEqual(seen, []);
  clock.provider = { ...people, tokenOrigin: "https://tokens.example" };
  assert.equal((await browser.get("/console/login/oidc")).status, 502);
  assert.ok(seen.every(({ authorization }) => authorization === undefined));
});
